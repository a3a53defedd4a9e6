// A Win32 program that writes the latest value of a ShareMemory. It obeys the lines of
// its standard input:
//
//   seed NAME / head NAME   the block of that name in the older or the newer layout
//   create SIZE             make it with room for SIZE bytes, or come to the one there is;
//                           either way its header is written anew, without the lock
//   write TEXT              make TEXT the value; prints how many bytes were written
//   number I                write numbered value I; prints how many bytes were written
//   loop N                  write N numbered values; prints how many were written whole
//   hold read|write         take the lock
//   release                 give it up
//   header FIELD VALUE      spoil the header: memory, head, content, tail or reserved
//   garbage BYTE            fill the header with BYTE
//   poke OFFSET BYTE        change a byte of the content, without the lock
//   die TEXT                take the lock, write half of the value TEXT, and end at once
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstdlib>
#include <memory>

#include "sharememory.h"

namespace {

std::unique_ptr<share::Block> block;

int put(const std::string &v, size_t part) {
  return block->put(reinterpret_cast<const unsigned char *>(v.data()), static_cast<int>(v.size()), static_cast<int>(part));
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  size_t blank = argument.find(' ');
  std::string first = argument.substr(0, blank), second = blank == std::string::npos ? "" : argument.substr(blank + 1);

  if (command == "seed" || command == "head") {
    block.reset();
    block.reset(new share::Block(command == "head", argument));
    return true;
  }
  if (block == nullptr) return peer::refused("no block");
  if (command == "create") return block->create(std::atoi(argument.c_str()));
  if (command == "write") {
    block->lock().write();
    *answer = std::to_string(put(argument, argument.size()));
    block->lock().unlock();
    return true;
  }
  if (command == "number") {
    std::string v = share::numbered(static_cast<uint32_t>(std::atoi(argument.c_str())));
    block->lock().write();
    *answer = std::to_string(put(v, v.size()));
    block->lock().unlock();
    return true;
  }
  if (command == "loop") {
    int whole = 0, n = std::atoi(argument.c_str());
    for (int i = 0; i < n; i++) {
      std::string v = share::numbered(static_cast<uint32_t>(i));
      block->lock().write();
      whole += put(v, v.size()) == static_cast<int>(v.size());
      block->lock().unlock();
    }
    *answer = std::to_string(whole);
    return true;
  }
  if (command == "hold") return share::hold(block.get(), argument);
  if (command == "release") {
    block->lock().unlock();
    return true;
  }
  if (command == "header") {
    ShareHeader *h = block->header();
    int32_t value = static_cast<int32_t>(std::strtol(second.c_str(), nullptr, 0));
    if (first == "memory") h->memory_size = value;
    else if (first == "head") h->head_size = value;
    else if (first == "content") h->content_size = value;
    else if (first == "tail") h->tail_size = value;
    else if (first == "reserved") h->reserved = value;
    else return peer::refused("unknown field " + first);
    return true;
  }
  if (command == "garbage") {
    std::memset(block->header(), std::atoi(argument.c_str()), sizeof(ShareHeader));
    return true;
  }
  if (command == "poke") {
    block->content()[std::atoi(first.c_str())] = static_cast<unsigned char>(std::atoi(second.c_str()));
    return true;
  }
  if (command == "die") {
    block->lock().write();
    put(argument, argument.size() / 2);
    TerminateProcess(GetCurrentProcess(), 9);
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  block.reset();
  return 0;
}
