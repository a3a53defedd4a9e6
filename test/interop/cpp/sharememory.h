// The two ShareMemory programs' common part: the block and its lock of two files, in
// both layouts, as existing programs have them: nothing that is read is checked, a
// second writer clears the header without the lock, and a lock file that cannot be
// opened counts as locked.
#ifndef SAMEPAGE_INTEROP_SHAREMEMORY_H
#define SAMEPAGE_INTEROP_SHAREMEMORY_H

#include <windows.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "legacy/wire.h"
#include "peer.h"

namespace share {

inline std::wstring wide(const std::string &s) {
  int n = MultiByteToWideChar(CP_UTF8, 0, s.data(), static_cast<int>(s.size()), nullptr, 0);
  std::wstring w(n, L'\0');
  MultiByteToWideChar(CP_UTF8, 0, s.data(), static_cast<int>(s.size()), &w[0], n);
  return w;
}

inline uint64_t crc64(const unsigned char *data, size_t size) {
  uint64_t crc = ~uint64_t(0);
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xC96C5795D7870F42ULL : 0);
  }
  return ~crc;
}

// bootSeconds is when the machine started, in seconds since 1970.
inline int64_t bootSeconds() {
  struct {
    LARGE_INTEGER boot, now, zone;
    ULONG id, reserved;
    ULONGLONG bias, sleepBias;
  } info = {};
  typedef LONG(NTAPI * Query)(int, void *, ULONG, ULONG *);
  Query query = reinterpret_cast<Query>(
      reinterpret_cast<void *>(GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtQuerySystemInformation")));
  if (query == nullptr || query(3, &info, sizeof info, nullptr) != 0) return 0;
  return info.boot.QuadPart / 10000000 - 11644473600LL;
}

class Lock {
 public:
  explicit Lock(const std::string &name) {
    wchar_t temp[MAX_PATH + 1];
    GetTempPathW(MAX_PATH, temp);
    std::wstring folder = std::wstring(temp) + wide(SHARE_LOCK_FOLDER);
    CreateDirectoryW(folder.c_str(), nullptr);
    wlc_ = folder + L"\\" + wide(name) + L".wlc";
    rlc_ = folder + L"\\" + wide(name) + L".rlc";
  }

  void read() {
    CloseHandle(open(wlc_, GENERIC_READ, FILE_SHARE_READ));
    reader_ = open(rlc_, GENERIC_READ, FILE_SHARE_READ);
  }

  void write() {
    writer_ = open(wlc_, GENERIC_READ | GENERIC_WRITE, 0);
    reader_ = open(rlc_, GENERIC_READ | GENERIC_WRITE, 0);
  }

  void unlock() {
    if (writer_ != INVALID_HANDLE_VALUE) CloseHandle(writer_);
    if (reader_ != INVALID_HANDLE_VALUE) CloseHandle(reader_);
    writer_ = reader_ = INVALID_HANDLE_VALUE;
  }

 private:
  // open waits for a file that others have; any other error counts as success.
  static HANDLE open(const std::wstring &path, DWORD access, DWORD mode) {
    for (;;) {
      HANDLE h = CreateFileW(path.c_str(), access, mode, nullptr, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr);
      if (h != INVALID_HANDLE_VALUE || GetLastError() != ERROR_SHARING_VIOLATION) return h;
      Sleep(15);
    }
  }

  std::wstring wlc_, rlc_;
  HANDLE writer_ = INVALID_HANDLE_VALUE, reader_ = INVALID_HANDLE_VALUE;
};

class Block {
 public:
  Block(bool head, const std::string &name)
      : head_(head),
        section_(wide(head ? SHARE_HEAD_SECTION + name : SHARE_SEED_SECTION + name)),
        lock_(head ? std::to_string(bootSeconds()) + "_" + SHARE_HEAD_LOCK + name + ".mdb" : SHARE_SEED_LOCK + name + ".mdb") {}

  // create is the writers' constructor: it clears the header, whoever made the section.
  bool create(int size) {
    ShareHeader h = fresh(size);
    map_ = CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, h.memory_size, section_.c_str());
    if (map_ == nullptr) return peer::failed("CreateFileMapping");
    base_ = static_cast<unsigned char *>(MapViewOfFile(map_, FILE_MAP_ALL_ACCESS, 0, 0, 0));
    if (base_ == nullptr) return peer::failed("MapViewOfFile");
    std::memcpy(base_, &h, sizeof h);
    if (!head_) content()[0] = 0;
    return true;
  }

  bool open() {
    map_ = OpenFileMappingW(FILE_MAP_READ, FALSE, section_.c_str());
    if (map_ == nullptr) return peer::failed("OpenFileMapping");
    base_ = static_cast<unsigned char *>(MapViewOfFile(map_, FILE_MAP_READ, 0, 0, 0));
    return base_ != nullptr || peer::failed("MapViewOfFile");
  }

  // good says whether the header is of this layout.
  bool good() const { return header()->head_size == 32 && (head_ || header()->tail_size == 1); }

  // put writes a value of which only the first part is copied, when that is less.
  int put(const unsigned char *data, int size, int part) {
    ShareHeader *h = header();
    if (!good()) return -1;
    int room = h->memory_size - h->head_size - (head_ ? 0 : h->tail_size);
    if (size > room) size = room;
    h->content_size = size;
    h->crc = crc64(data, size);
    if (part < size) {
      std::memcpy(content(), data, part);
      return part;
    }
    std::memcpy(content(), data, size);
    if (!head_) content()[size] = 0;
    return size;
  }

  // get reads the value. The older program does not compare the checksum, and the newer
  // one gives no value when it is wrong: -1.
  int get(std::string *value, bool *matches) {
    if (!good()) return -1;
    value->assign(reinterpret_cast<char *>(content()), header()->content_size);
    *matches = crc64(reinterpret_cast<const unsigned char *>(value->data()), value->size()) == header()->crc;
    return *matches || !head_ ? header()->content_size : -1;
  }

  ShareHeader *header() const { return reinterpret_cast<ShareHeader *>(base_); }
  unsigned char *content() const { return base_ + sizeof(ShareHeader); }
  Lock &lock() { return lock_; }

  ~Block() {
    lock_.unlock();
    if (base_ != nullptr) UnmapViewOfFile(base_);
    if (map_ != nullptr) CloseHandle(map_);
  }

 private:
  ShareHeader fresh(int size) const {
    ShareHeader h = {};
    h.head_size = 32;
    h.tail_size = head_ ? 0x5ca1ab1e : 1;  // padding has any value
    h.memory_size = size + 32 + (head_ ? 0 : 1);
    return h;
  }

  bool head_;
  std::wstring section_;
  Lock lock_;
  HANDLE map_ = nullptr;
  unsigned char *base_ = nullptr;
};

// Values that tell by themselves whether they are whole: a number, filler that follows
// from it, and a checksum of both; 8 to 207 bytes.
inline std::string numbered(uint32_t number) {
  std::string v(8 + number % 200, '\0');
  uint32_t word = number * 2654435761u + 1;
  for (size_t i = 4; i + 4 < v.size(); i++) {
    word = word * 1664525u + 1013904223u;
    v[i] = static_cast<char>(word >> 24);
  }
  std::memcpy(&v[0], &number, 4);
  uint32_t sum = 2166136261u;
  for (size_t i = 0; i + 4 < v.size(); i++) sum = (sum ^ static_cast<unsigned char>(v[i])) * 16777619u;
  std::memcpy(&v[v.size() - 4], &sum, 4);
  return v;
}

// number is that of a value, or -1 when it is not whole.
inline int64_t number(const std::string &v) {
  uint32_t n;
  if (v.size() < 8) return -1;
  std::memcpy(&n, v.data(), 4);
  return v == numbered(n) ? static_cast<int64_t>(n) : -1;
}

// hold obeys the commands on the lock that both programs have.
inline bool hold(Block *b, const std::string &argument) {
  if (argument == "read") {
    b->lock().read();
  } else if (argument == "write") {
    b->lock().write();
  } else {
    return peer::refused("hold " + argument);
  }
  return true;
}

}  // namespace share

#endif
