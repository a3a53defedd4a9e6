// An algorithm's program: it opens the section "BaseImage" and the event
// "BaseImageMutex", waits, and copies what there is, without a check or a lock. It opens
// the event as if it were a mutex, so that it may not reset it. It obeys the lines of
// its standard input:
//
//   open      open section and event
//   grab      wait a minute at most, copy a picture, reset the event; answers
//             K WIDTH HEIGHT BITS whole|torn reset 0|GetLastError
//   many N    grab N, answers how many were whole, and how many torn
//   close     close both
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstdlib>
#include <string>
#include <vector>

#include "baseimage.h"
#include "legacy/wire.h"
#include "peer.h"

namespace {

using peer::failed;

HANDLE section, event;
char *base;
std::vector<uint8_t> buffer;
int32_t k;
BaseHeader h;
bool whole;
DWORD reset;

bool open() {
  event = OpenEventA(MUTEX_ALL_ACCESS, FALSE, BASE_EVENT);
  if (event == nullptr) return failed("OpenEvent");
  section = OpenFileMappingA(FILE_MAP_ALL_ACCESS, FALSE, BASE_SECTION);
  if (section == nullptr) return failed("OpenFileMapping");
  base = static_cast<char *>(MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0));
  return base != nullptr || failed("MapViewOfFile");
}

void close() {
  if (base != nullptr) UnmapViewOfFile(base);
  if (section != nullptr) CloseHandle(section);
  if (event != nullptr) CloseHandle(event);
  base = nullptr;
  section = event = nullptr;
}

bool grab() {
  if (WaitForSingleObject(event, 300000) != WAIT_OBJECT_0) return failed("WaitForSingleObject");
  size_t size = *reinterpret_cast<volatile int32_t *>(base) + sizeof h;
  if (buffer.size() < size) buffer.resize(size);
  std::memcpy(buffer.data(), base, size);
  reset = ResetEvent(event) ? 0 : GetLastError();
  std::memcpy(&h, buffer.data(), sizeof h);
  whole = painted(buffer.data() + sizeof h, h.length, &k);
  return true;
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  if (command == "open") return open();
  if (command == "close") return close(), true;
  if (command == "grab") {
    if (!grab()) return false;
    *answer = std::to_string(k) + " " + std::to_string(h.width) + " " + std::to_string(h.height) + " " +
              std::to_string(h.bit_count) + (whole ? " whole" : " torn") + " reset " + std::to_string(reset);
    return true;
  }
  if (command == "many") {
    int good = 0, torn = 0;
    for (int i = std::atoi(argument.c_str()); i > 0; i--) {
      if (!grab()) return false;
      (whole ? good : torn)++;
    }
    *answer = std::to_string(good) + " whole, " + std::to_string(torn) + " torn";
    return true;
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  close();
  return 0;
}
