// A Win32 program that shares text through the section "ZJ", as a server that
// makes the file and the section, or as a client that opens the section by name.
// It obeys the lines of its standard input:
//
//   serve FILE    make FILE, 1 MiB, with the section ZJ over it
//   anonymous     make the section ZJ over the page file
//   client        open the section ZJ
//   write TEXT    write TEXT and a NUL at its beginning
//   print         print what stands there up to the NUL
//   fill          write x to the end of the section, with no NUL
//   behind        print how many bytes behind the text are not zero
//   event NAME    open the event NAME with the least rights
//   wait          wait for the event, ten seconds at most
//   set           set it
//
// and answers each with one line, "ok ..." or "err CALL GetLastError".

#include <cstring>
#include <string>

#include "legacy/wire.h"
#include "peer.h"

namespace {

using peer::failed;

HANDLE file = INVALID_HANDLE_VALUE, section, event;
char *text;

bool view() {
  text = static_cast<char *>(MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, TEXT_SIZE));
  return text != nullptr || failed("MapViewOfFile");
}

bool serve(const char *path) {
  if (path != nullptr) {
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) return failed("CreateFile");
  }
  section = CreateFileMappingA(file, nullptr, PAGE_READWRITE, 0, TEXT_SIZE, TEXT_SECTION);
  if (section == nullptr) return failed("CreateFileMapping");
  if (GetLastError() == ERROR_ALREADY_EXISTS) return failed("CreateFileMapping");
  return view();
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  if (command == "serve") return serve(argument.c_str());
  if (command == "anonymous") return serve(nullptr);
  if (command == "client") {
    section = OpenFileMappingA(FILE_MAP_ALL_ACCESS, TRUE, TEXT_SECTION);
    return section != nullptr ? view() : failed("OpenFileMapping");
  }
  if (command == "write") {
    std::memcpy(text, argument.c_str(), argument.size() + 1);
    return true;
  }
  if (command == "print") {
    *answer = std::string(text, strnlen(text, TEXT_SIZE));
    return true;
  }
  if (command == "fill") {
    std::memset(text, 'x', TEXT_SIZE);
    return true;
  }
  if (command == "behind") {
    size_t n = 0;
    for (size_t i = strnlen(text, TEXT_SIZE); i < TEXT_SIZE; i++) n += text[i] != 0;
    *answer = std::to_string(n);
    return true;
  }
  if (command == "event") {
    event = OpenEventA(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, argument.c_str());
    return event != nullptr || failed("OpenEvent");
  }
  if (command == "wait") {
    DWORD r = WaitForSingleObject(event, 10000);
    *answer = r == WAIT_OBJECT_0 ? "signalled" : "timeout";
    return true;
  }
  if (command == "set") return SetEvent(event) || failed("SetEvent");
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  peer::serve(obey);
  if (text != nullptr) UnmapViewOfFile(text);
  if (section != nullptr) CloseHandle(section);
  if (event != nullptr) CloseHandle(event);
  if (file != INVALID_HANDLE_VALUE) CloseHandle(file);
  return 0;
}
