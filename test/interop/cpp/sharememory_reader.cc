// A Win32 program that reads the latest value of a ShareMemory. It obeys the lines of
// its standard input:
//
//   seed NAME / head NAME   the block of that name in the older or the newer layout
//   open                    open it
//   read                    print whether the checksum is good or bad, and the value
//   number                  print the number of the value, -1 when it is not whole
//   verify N                read N times; prints how many values were not whole, how many
//                           were older than the one before, and how many were different
//   until N                 read until value number N comes, and print how many were not whole
//   sizes                   print the header's sizes: memory, head, content, tail
//   hold read|write         take the lock
//   release                 give it up
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstdlib>
#include <memory>

#include "sharememory.h"

namespace {

std::unique_ptr<share::Block> block;

// next reads a value and says its number, -1 when it is not whole, -2 when there is none.
int64_t next() {
  std::string v;
  bool matches = false;
  block->lock().read();
  int n = block->get(&v, &matches);
  block->lock().unlock();
  if (n == 0) return -2;
  return n > 0 && matches ? share::number(v) : -1;
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  if (command == "seed" || command == "head") {
    block.reset();
    block.reset(new share::Block(command == "head", argument));
    return true;
  }
  if (block == nullptr) return peer::refused("no block");
  if (command == "open") return block->open();
  if (command == "read") {
    std::string v;
    bool matches = false;
    block->lock().read();
    int n = block->get(&v, &matches);
    block->lock().unlock();
    if (n < 0) return peer::refused("read " + std::to_string(n));
    *answer = (matches ? "good" : "bad") + (v.empty() ? "" : " " + v);
    return true;
  }
  if (command == "number") {
    *answer = std::to_string(next());
    return true;
  }
  if (command == "verify" || command == "until") {
    int64_t last = -2, goal = std::atoi(argument.c_str());
    int torn = 0, older = 0, different = 0;
    for (int64_t i = 0; command == "verify" ? i < goal : last != goal; i++) {
      int64_t n = next();
      torn += n == -1;
      if (n < 0) continue;
      older += n < last;
      different += n != last;
      last = n;
    }
    *answer = std::to_string(torn) + " " + std::to_string(older) + " " + std::to_string(different);
    return true;
  }
  if (command == "sizes") {
    ShareHeader *h = block->header();
    *answer = std::to_string(h->memory_size) + " " + std::to_string(h->head_size) + " " + std::to_string(h->content_size) + " " +
              std::to_string(h->tail_size);
    return true;
  }
  if (command == "hold") return share::hold(block.get(), argument);
  if (command == "release") {
    block->lock().unlock();
    return true;
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  block.reset();
  return 0;
}
