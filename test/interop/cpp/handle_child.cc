// A Win32 program that has unnamed memory by the handle of a section, which it
// inherited or was given. It obeys the lines of its standard input:
//
//   argv INDEX [SIZE [rw|ro]]   the handle's value is that argument of this program
//   env NAME [SIZE [rw|ro]]     or that variable of its environment
//   adopt VALUE [SIZE [rw|ro]]  or told
//   take PID VALUE [SIZE [rw|ro]]  or that of a handle of process PID, to be copied
//   read OFFSET LENGTH          print what stands there
//   write OFFSET "TEXT"         write TEXT there
//   size                        bytes of the view
//   upgrade                     ask for a handle with the right to write, and map it
//   close                       unmap, and close the handle
//   usage                       handles of this process
//   offer                       print the value of the handle
//   startup                     flags and show-window of GetStartupInfo
//   args                        its arguments, with | between them
//   atend OFFSET LENGTH         print that at the end of the input
//
// and answers each with one line, "ok ..." or "err CALL GetLastError". Values are
// decimal, or hexadecimal after 0x. As programs of that kind do, it maps whatever the value
// stands for, as much as it is told, and checks nothing.

#include <windows.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include <shellapi.h>

#include "peer.h"

namespace {

using peer::failed;

HANDLE section;
char *memory;
size_t end_offset, end_length;

std::string utf8(const wchar_t *s) {
  std::string out(4 * wcslen(s) + 1, '\0');
  out.resize(WideCharToMultiByte(CP_UTF8, 0, s, -1, &out[0], int(out.size()), nullptr, nullptr) - 1);
  return out;
}

std::string argument_number(int i) {
  int n;
  LPWSTR *all = CommandLineToArgvW(GetCommandLineW(), &n);
  std::string s = i < n ? utf8(all[i]) : "";
  LocalFree(all);
  return s;
}

HANDLE handle_of(const std::string &text) {
  return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(std::strtoull(text.c_str(), nullptr, 0)));
}

// map maps the section; rest may have a size and an access.
bool map(HANDLE h, std::istringstream &rest) {
  size_t size = 0;
  std::string access = "rw";
  rest >> size >> access;
  memory = static_cast<char *>(MapViewOfFile(h, access == "ro" ? FILE_MAP_READ : FILE_MAP_ALL_ACCESS, 0, 0, size));
  if (memory == nullptr) return failed("MapViewOfFile");
  section = h;
  return true;
}

size_t view_size() {
  MEMORY_BASIC_INFORMATION info = {};
  VirtualQuery(memory, &info, sizeof info);
  return info.RegionSize;
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  std::istringstream in(argument);
  std::string word;
  size_t offset, length;
  DWORD pid;
  if (command == "argv") {
    int i;
    in >> i;
    return map(handle_of(argument_number(i)), in);
  }
  if (command == "env") {
    in >> word;
    const char *value = std::getenv(word.c_str());
    return map(handle_of(value != nullptr ? value : "0"), in);
  }
  if (command == "adopt") {
    in >> word;
    return map(handle_of(word), in);
  }
  if (command == "take") {
    in >> pid >> word;
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, pid), copy;
    if (process == nullptr) return failed("OpenProcess");
    BOOL done = DuplicateHandle(process, handle_of(word), GetCurrentProcess(), &copy, 0, FALSE, DUPLICATE_SAME_ACCESS);
    if (!done) failed("DuplicateHandle");
    CloseHandle(process);
    return done && map(copy, in);
  }
  if (command == "read") {
    in >> offset >> length;
    *answer = std::string(memory + offset, length);
    return true;
  }
  if (command == "write") {
    in >> offset >> std::ws;
    std::getline(in, word);
    std::memcpy(memory + offset, word.c_str() + 1, word.size() - 2);
    return true;
  }
  if (command == "size") {
    *answer = std::to_string(view_size());
    return true;
  }
  if (command == "upgrade") {
    HANDLE more;
    if (!DuplicateHandle(GetCurrentProcess(), section, GetCurrentProcess(), &more, FILE_MAP_READ | FILE_MAP_WRITE, FALSE, 0)) return failed("DuplicateHandle");
    void *p = MapViewOfFile(more, FILE_MAP_WRITE, 0, 0, 1);
    bool mapped = p != nullptr || failed("MapViewOfFile");
    if (p != nullptr) UnmapViewOfFile(p);
    CloseHandle(more);
    return mapped;
  }
  if (command == "close") {
    if (!UnmapViewOfFile(memory)) return failed("UnmapViewOfFile");
    memory = nullptr;
    return CloseHandle(section) || failed("CloseHandle");
  }
  if (command == "usage") {
    // Wine's GetProcessHandleCount counts none.
    DWORD n = 0, flags;
    for (uintptr_t v = 4; v < 4096; v += 4) n += GetHandleInformation(reinterpret_cast<HANDLE>(v), &flags) != 0;
    *answer = std::to_string(n);
    return true;
  }
  if (command == "offer") {
    *answer = std::to_string(reinterpret_cast<uintptr_t>(section));
    return true;
  }
  if (command == "startup") {
    STARTUPINFOA si = {};
    si.cb = sizeof si;
    GetStartupInfoA(&si);
    *answer = std::to_string(si.dwFlags & STARTF_USESHOWWINDOW) + " " + std::to_string(si.wShowWindow);
    return true;
  }
  if (command == "args") {
    int n;
    LPWSTR *all = CommandLineToArgvW(GetCommandLineW(), &n);
    for (int i = 1; i < n; i++) *answer += (i > 1 ? "|" : "") + utf8(all[i]);
    LocalFree(all);
    return true;
  }
  if (command == "atend") {
    in >> end_offset >> end_length;
    return true;
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  if (end_length > 0) peer::say("ok " + std::string(memory + end_offset, end_length));
  if (memory != nullptr) UnmapViewOfFile(memory);
  if (section != nullptr) CloseHandle(section);
  return 0;
}
