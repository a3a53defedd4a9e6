/*
 * The layouts of the packages in this folder, for C and C++: what is in the shared memory
 * of the existing programs, and the names of the objects. Little-endian, natural alignment.
 */
#ifndef SAMEPAGE_LEGACY_WIRE_H
#define SAMEPAGE_LEGACY_WIRE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define WIRE_ASSERT(what) static_assert(what, #what)
#else
#define WIRE_ASSERT(what) _Static_assert(what, #what)
#endif

/* Package earseimage: jobs from a requester to a worker. */

#define EARSE_SECTION "EaresImageSharedMemory" /* spelled so */
#define EARSE_WORKER_TITLE "EarseImage"        /* of the window of the worker, of any class */
#define EARSE_REQUESTER_TITLE "UnionRectTest"  /* of the requester's */
#define EARSE_SIZE 3145728                     /* of the section and of every view */
#define EARSE_WRITTEN (0x0400 + 110)           /* WM_USER + 110, to the worker: a job is written */
#define EARSE_READY (0x0400 + 111)             /* WM_USER + 111, to the requester: the answer is */

typedef struct EarseFile {
	uint16_t name[260]; /* UTF-16, NUL-terminated */
	int32_t offset;     /* of its bytes in the section */
	int32_t size;       /* in bytes */
	int32_t type;       /* 1 BMP, 2 GIF, 3 JPEG, 4 PNG, 6 TIFF, ... */
} EarseFile;

typedef struct EarseJob {
	EarseFile source;         /* only the name is passed, not the picture */
	EarseFile result[2];      /* encoded files, after this record */
	int32_t status;           /* 0 sent, 1 received */
	int32_t success;          /* 1: there are results */
	uint16_t extension[4096]; /* for the users */
} EarseJob;

WIRE_ASSERT(sizeof(EarseFile) == 532);
WIRE_ASSERT(offsetof(EarseFile, offset) == 520);
WIRE_ASSERT(offsetof(EarseFile, size) == 524);
WIRE_ASSERT(offsetof(EarseFile, type) == 528);
WIRE_ASSERT(sizeof(EarseJob) == 9796);
WIRE_ASSERT(offsetof(EarseJob, result) == 532);
WIRE_ASSERT(offsetof(EarseJob, status) == 1596);
WIRE_ASSERT(offsetof(EarseJob, success) == 1600);
WIRE_ASSERT(offsetof(EarseJob, extension) == 1604);

/* Package text: ANSI, NUL-terminated, at the start of the section. */

#define TEXT_SECTION "ZJ"
#define TEXT_SIZE 1048576

/* Package sharememory: the header, the content, and in layout Seed one zero byte. */

#define SHARE_SEED_SECTION "ShareMemoryMap-"      /* NAME */
#define SHARE_SEED_LOCK "ShareMemoryLockedFile-"  /* NAME.mdb */
#define SHARE_HEAD_SECTION "SMM-"                 /* NAME */
#define SHARE_HEAD_LOCK "SMLF-"                   /* BOOT_SMLF-NAME.mdb */
#define SHARE_LOCK_FOLDER "rwfilelock"            /* below GetTempPath() */

typedef struct ShareHeader {
	int32_t memory_size;  /* header, room and tail */
	int32_t head_size;    /* 32 */
	int32_t content_size; /* of the value, 0 when there is none yet */
	int32_t tail_size;    /* 1; in layout Head padding with any value */
	uint64_t crc;         /* CRC-64/XZ of the content */
	int32_t reserved;
	int32_t padding;
} ShareHeader;

WIRE_ASSERT(sizeof(ShareHeader) == 32);
WIRE_ASSERT(offsetof(ShareHeader, memory_size) == 0);
WIRE_ASSERT(offsetof(ShareHeader, head_size) == 4);
WIRE_ASSERT(offsetof(ShareHeader, content_size) == 8);
WIRE_ASSERT(offsetof(ShareHeader, tail_size) == 12);
WIRE_ASSERT(offsetof(ShareHeader, crc) == 16);
WIRE_ASSERT(offsetof(ShareHeader, reserved) == 24);

/* Package baseimage: a header and the pixels after it. */

#define BASE_SECTION "BaseImage"
#define BASE_EVENT "BaseImageMutex" /* auto-reset, not signalled at first */
#define BASE_SIZE 33554432          /* with the header */

typedef struct BaseHeader {
	int32_t length; /* of the pixels, in bytes */
	int32_t width;
	int32_t height;
	int32_t bit_count; /* of a pixel */
} BaseHeader;

WIRE_ASSERT(sizeof(BaseHeader) == 16);
WIRE_ASSERT(offsetof(BaseHeader, length) == 0);
WIRE_ASSERT(offsetof(BaseHeader, width) == 4);
WIRE_ASSERT(offsetof(BaseHeader, height) == 8);
WIRE_ASSERT(offsetof(BaseHeader, bit_count) == 12);

#endif
