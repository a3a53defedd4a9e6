// A Win32 program that does EarseImage jobs: the window "EarseImage", which gets
// WM_USER+110 when a job is written into the section "EaresImageSharedMemory". It reads
// the job's file, a 24-bit BMP, and answers with its negative and with it upside down.
// Like the program that it stands for it checks no bounds, writes success before the
// data, and never closes the section. It obeys the lines of its standard input:
//
//   serve          make the window; the answer says of which kind
//   do WHAT [N]    from now on answer jobs right, or: negative (offset), huge (size),
//                  empty (success without data), overlap, odd (success 7), silent (no
//                  message), die (in the job), hang (N ms, or until resume, then right),
//                  early (success first, the data N ms later)
//   resume         end a hang
//   began          wait until a job has begun since the last time
//   jobs           how many have begun
//   last           the type and the file of the last one

#include <atomic>
#include <cstdlib>

#include "earse.h"

namespace {

earse::Window window;
HANDLE begun, resume;
std::atomic<int> jobs, wait_ms;
CRITICAL_SECTION guard;  // of what follows
std::string how = "right", last;

std::string behaviour() {
  EnterCriticalSection(&guard);
  std::string s = how;
  LeaveCriticalSection(&guard);
  return s;
}

void put(EarseJob *job, char *section, int i, int offset, const std::string &data) {
  job->result[i].offset = offset;
  job->result[i].size = static_cast<int>(data.size());
  job->result[i].type = job->source.type;
  std::memcpy(section + offset, data.data(), data.size());
}

void work(EarseJob *job, char *section, const std::string &what) {
  std::string source = earse::read(reinterpret_cast<wchar_t *>(job->source.name));
  if (!earse::Bmp(source)) {
    job->success = 0;
    return;
  }
  job->success = 1;
  if (what == "empty") return;
  if (what == "early") Sleep(wait_ms);
  std::string first = earse::inverted(source), second = earse::flipped(source);
  put(job, section, 0, sizeof(EarseJob), first);
  put(job, section, 1, static_cast<int>(sizeof(EarseJob) + first.size()), second);
  if (what == "negative") job->result[0].offset = -4096;
  if (what == "huge") job->result[1].size = 0x7FFFFFFF;
  if (what == "overlap") job->result[1].offset--;
  if (what == "odd") job->success = 7;
}

LRESULT handle(UINT message, LPARAM) {
  if (message != EARSE_WRITTEN) return 0;
  HANDLE mapping = OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, EARSE_WIDE(EARSE_SECTION));
  if (mapping == nullptr) return 0;
  char *section = static_cast<char *>(MapViewOfFile(mapping, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, EARSE_SIZE));
  // The program that this one stands for leaves a handle open with each job. One keeps
  // the section as well, and does not come to an end of handles.
  static HANDLE kept = mapping;
  if (kept != mapping) CloseHandle(mapping);
  if (section == nullptr) return 0;
  EarseJob *job = reinterpret_cast<EarseJob *>(section);
  const wchar_t *name = reinterpret_cast<wchar_t *>(job->source.name);
  EnterCriticalSection(&guard);
  last = std::to_string(job->source.type) + " " + earse::narrow(name, wcsnlen(name, 260));
  LeaveCriticalSection(&guard);
  std::string what = behaviour();
  const int hang_ms = wait_ms;  // now: the next "do" may come as soon as the job has begun
  jobs++;
  SetEvent(begun);
  if (what == "die") TerminateProcess(GetCurrentProcess(), 9);
  if (what == "hang") WaitForSingleObject(resume, hang_ms);
  work(job, section, what);
  if (what != "silent") {
    HWND requester = FindWindowW(nullptr, EARSE_WIDE(EARSE_REQUESTER_TITLE));
    if (requester != nullptr) SendMessageW(requester, EARSE_READY, 0, 0);
  }
  UnmapViewOfFile(section);
  return 0;
}

bool obey(const std::string &command, const std::string &argument, std::string *answer) {
  if (command == "serve") return window.open(EARSE_WIDE(EARSE_WORKER_TITLE), handle, answer);
  if (command == "do") {
    size_t blank = argument.find(' ');
    wait_ms = blank == std::string::npos ? 0 : std::atoi(argument.c_str() + blank);
    EnterCriticalSection(&guard);
    how = argument.substr(0, blank);
    LeaveCriticalSection(&guard);
    return true;
  }
  if (command == "began") return WaitForSingleObject(begun, 30000) == WAIT_OBJECT_0 || peer::refused("no job");
  if (command == "resume") return SetEvent(resume) || peer::failed("SetEvent");
  if (command == "jobs") {
    *answer = std::to_string(jobs);
    return true;
  }
  if (command == "last") {
    EnterCriticalSection(&guard);
    *answer = last;
    LeaveCriticalSection(&guard);
    return true;
  }
  return peer::refused("unknown " + command);
}

}  // namespace

int main() {
  InitializeCriticalSection(&guard);
  begun = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  resume = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  peer::serve(obey);
  TerminateProcess(GetCurrentProcess(), 0);  // whatever the window's thread does
}
