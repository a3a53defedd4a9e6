//go:build !race && !samepagefault

#include "textflag.h"

// The offsets are those of layout.Entry (Sequence 0, Slot and Length 8, Next 16)
// and layout.SlotHeader (Generation 0, Length 8).

#define STORES \
	MOVQ entry+0(FP), AX  \
	MOVQ header+8(FP), BX \
	MOVQ q+16(FP), CX     \
	MOVQ place+24(FP), DX \
	MOVL next+32(FP), SI  \
	MOVQ DX, DI           \
	SHRQ $32, DI          \
	MOVL DI, 8(BX)        \
	MOVQ CX, 0(BX)        \
	MOVQ $0, 0(AX)        \
	MOVQ DX, 8(AX)        \
	MOVL SI, 16(AX)

// func commitFenced(entry, header unsafe.Pointer, q, place uint64, next uint32)
TEXT ·commitFenced(SB), NOSPLIT, $0-36
	STORES
	XCHGQ CX, 0(AX)
	RET

// func commitStored(entry, header unsafe.Pointer, q, place uint64, next uint32)
TEXT ·commitStored(SB), NOSPLIT, $0-36
	STORES
	MOVQ CX, 0(AX)
	RET

// func storeRelease(p *uint64, v uint64)
TEXT ·storeRelease(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ v+8(FP), CX
	MOVQ CX, 0(AX)
	RET

// func poll(seq *uint64, want uint64, hint unsafe.Pointer, n uint32) bool
TEXT ·poll(SB), NOSPLIT, $0-33
	MOVQ seq+0(FP), AX
	MOVQ want+8(FP), BX
	MOVQ hint+16(FP), CX
	MOVL n+24(FP), DX
	XORL SI, SI
look:
	MOVQ (AX), DI
	CMPQ DI, BX
	JCC  found
	SUBL $1, DX
	JCS  done
	PREFETCHT0 (CX)
	PREFETCHT0 64(CX)
	PAUSE
	JMP  look
found:
	MOVL $1, SI
done:
	MOVB SI, ret+32(FP)
	RET
