// The pictures of the two BaseImage programs. Picture K has its number in the first
// four bytes, and then all bytes from 0 to 255 over and over, beginning at a place of
// its own: so one that has bytes of two pictures is seen.
#ifndef SAMEPAGE_INTEROP_BASEIMAGE_H
#define SAMEPAGE_INTEROP_BASEIMAGE_H

#include <cstdint>
#include <cstring>

inline void paint(uint8_t *pixels, int32_t length, int32_t k) {
  for (int32_t i = 0; i < length; i++) pixels[i] = static_cast<uint8_t>(37 * k + i);
  std::memcpy(pixels, &k, length < 4 ? length : 4);
}

// painted says whether the pixels are those of one picture, and of which.
inline bool painted(const uint8_t *pixels, int32_t length, int32_t *k) {
  *k = 0;
  std::memcpy(k, pixels, length < 4 ? length : 4);
  for (int32_t i = 4; i < length; i++)
    if (pixels[i] != static_cast<uint8_t>(37 * *k + i)) return false;
  return true;
}

#endif
