// A base program: it makes the section "BaseImage" and the event "BaseImageMutex",
// writes pictures, and sets the event. It checks no bounds, and waits for nobody. It
// obeys the lines of its standard input:
//
//   create                         make section and event
//   frame K WIDTH HEIGHT BITS      write picture K, and set the event
//   loop N MICROS WIDTH HEIGHT BITS   pictures 1 to N, one each MICROS
//   pause MILLIS                   from now on, so long in the middle of each picture
//   begin K WIDTH HEIGHT BITS      write the header and the first half of a picture
//   finish                         write the other half, and set the event
//   header LENGTH WIDTH HEIGHT BITS   write a header and no pixels, and set the event
//   signal                         set the event
//   die                            end at once, as TerminateProcess does
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstdio>
#include <string>
#include <vector>

#include "baseimage.h"
#include "legacy/wire.h"
#include "peer.h"

namespace {

using peer::failed;

HANDLE section, event;
char *base;
int pause_millis;
std::vector<uint8_t> picture;
size_t written;

bool create() {
  section = CreateFileMappingA(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, BASE_SIZE, BASE_SECTION);
  if (section == nullptr) return failed("CreateFileMapping");
  event = CreateEventA(nullptr, FALSE, FALSE, BASE_EVENT);
  if (event == nullptr) return failed("CreateEvent");
  base = static_cast<char *>(MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0));
  return base != nullptr || failed("MapViewOfFile");
}

void header(int length, int width, int height, int bits) {
  volatile int *h = reinterpret_cast<volatile int *>(base);
  h[0] = length;
  h[1] = width;
  h[2] = height;
  h[3] = bits;
}

void begin(int k, int width, int height, int bits) {
  picture.resize(static_cast<size_t>(width) * height * bits / 8);
  paint(picture.data(), static_cast<int32_t>(picture.size()), k);
  header(static_cast<int>(picture.size()), width, height, bits);
  written = picture.size() / 2;
  std::memcpy(base + sizeof(BaseHeader), picture.data(), written);
}

bool finish() {
  std::memcpy(base + sizeof(BaseHeader) + written, picture.data() + written, picture.size() - written);
  return SetEvent(event) || failed("SetEvent");
}

bool frame(int k, int width, int height, int bits) {
  if (pause_millis > 0) {
    begin(k, width, height, bits);
    Sleep(pause_millis);
    return finish();
  }
  picture.resize(static_cast<size_t>(width) * height * bits / 8);
  paint(picture.data(), static_cast<int32_t>(picture.size()), k);
  header(static_cast<int>(picture.size()), width, height, bits);
  std::memcpy(base + sizeof(BaseHeader), picture.data(), picture.size());
  return SetEvent(event) || failed("SetEvent");
}

bool loop(int n, int micros, int width, int height, int bits) {
  LARGE_INTEGER frequency, now;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&now);
  int64_t next = now.QuadPart;
  for (int k = 1; k <= n; k++) {
    if (!frame(k, width, height, bits)) return false;
    next += frequency.QuadPart * micros / 1000000;
    QueryPerformanceCounter(&now);
    int64_t left = (next - now.QuadPart) * 1000 / frequency.QuadPart;
    // A machine that is too slow for this leaves a pause for readers all the same.
    if (left < 1 && micros > 0) {
      left = 1;
      next = now.QuadPart;
    }
    if (left > 0) Sleep(static_cast<DWORD>(left));
  }
  return true;
}

bool obey(const std::string &command, const std::string &argument, std::string *) {
  int n[5] = {0, 0, 0, 0, 0};
  std::sscanf(argument.c_str(), "%d %d %d %d %d", &n[0], &n[1], &n[2], &n[3], &n[4]);
  if (command == "create") return create();
  if (command == "frame") return frame(n[0], n[1], n[2], n[3]);
  if (command == "loop") return loop(n[0], n[1], n[2], n[3], n[4]);
  if (command == "pause") return (pause_millis = n[0]), true;
  if (command == "begin") return begin(n[0], n[1], n[2], n[3]), true;
  if (command == "finish") return finish();
  if (command == "header") return header(n[0], n[1], n[2], n[3]), SetEvent(event) || failed("SetEvent");
  if (command == "signal") return SetEvent(event) || failed("SetEvent");
  if (command == "die") return TerminateProcess(GetCurrentProcess(), 9);
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  if (base != nullptr) UnmapViewOfFile(base);
  if (section != nullptr) CloseHandle(section);
  if (event != nullptr) CloseHandle(event);
  return 0;
}
