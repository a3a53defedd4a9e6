#include "textflag.h"

// A word of 16 bits has a colour or a part of it in 1/64. Y8 has 0x8000 in each word, Y9 has 0xff in
// each byte. Y10 to Y15 have the coefficients, in the order of the type coeffs:
// y, yAdd, rv, bu, gv, gu.
#define CONSTANTS(at) \
	VPCMPEQB Y9, Y9, Y9 \
	VPSLLW $15, Y9, Y8 \
	VPBROADCASTW 0(at), Y10 \
	VPBROADCASTW 2(at), Y11 \
	VPBROADCASTW 4(at), Y12 \
	VPBROADCASTW 6(at), Y13 \
	VPBROADCASTW 8(at), Y14 \
	VPBROADCASTW 10(at), Y15

// SIGNED makes samples of 0 to 255 to (sample-128) << 8.
#define SIGNED(r) \
	VPSLLW $8, r, r \
	VPXOR Y8, r, r

// PARTS has Cb in cb and Cr in cr, as SIGNED leaves them. It leaves the parts of red in red, of green
// in cr, and of blue in cb.
#define PARTS(cb, cr, red, t) \
	VPMULHRSW Y12, cr, red \
	VPMULHRSW Y14, cr, cr \
	VPMULHRSW Y15, cb, t \
	VPADDW t, cr, cr \
	VPMULHRSW Y13, cb, cb

// LUMA loads 16 samples.
#define LUMA(from, r) \
	VPMOVZXBW from, r \
	VPSLLW $7, r, r \
	VPMULHRSW Y10, r, r \
	VPADDW Y11, r, r

// DOUBLED adds each part of r to the luma of two pixels, in Y3 and Y4, and leaves 32 bytes in r.
#define DOUBLED(r) \
	VPUNPCKLWD r, r, Y5 \
	VPUNPCKHWD r, r, Y6 \
	VPADDSW Y3, Y5, Y5 \
	VPADDSW Y4, Y6, Y6 \
	VPSRAW $6, Y5, Y5 \
	VPSRAW $6, Y6, Y6 \
	VPACKUSWB Y6, Y5, r

// STORE stores 32 pixels. Their bytes are in Y2, Y1 and Y0, in the order in which VPACKUSWB leaves
// them: pixels 0 to 7, 16 to 23, 8 to 15, 24 to 31.
#define STORE(to) \
	VPUNPCKLBW Y1, Y2, Y3 \
	VPUNPCKHBW Y1, Y2, Y4 \
	VPUNPCKLBW Y9, Y0, Y5 \
	VPUNPCKHBW Y9, Y0, Y6 \
	VPUNPCKLWD Y5, Y3, Y0 \
	VPUNPCKHWD Y5, Y3, Y1 \
	VPUNPCKLWD Y6, Y4, Y2 \
	VPUNPCKHWD Y6, Y4, Y7 \
	VMOVDQU X0, 0(to) \
	VMOVDQU X1, 16(to) \
	VEXTRACTI128 $1, Y0, 32(to) \
	VEXTRACTI128 $1, Y1, 48(to) \
	VMOVDQU X2, 64(to) \
	VMOVDQU X7, 80(to) \
	VEXTRACTI128 $1, Y2, 96(to) \
	VEXTRACTI128 $1, Y7, 112(to)

// PAIRS stores 32 pixels, two for each of the 16 colours that PARTS left. VPERMQ puts the parts
// where VPUNPCKLWD and VPUNPCKHWD expect them.
#define PAIRS \
	VPERMQ $0xd8, Y0, Y0 \
	VPERMQ $0xd8, Y1, Y1 \
	PARTS(Y0, Y1, Y2, Y3) \
	LUMA(0(SI), Y3) \
	LUMA(16(SI), Y4) \
	DOUBLED(Y2) \
	DOUBLED(Y1) \
	DOUBLED(Y0) \
	STORE(DI)

// func halved(dst, y, cb, cr *byte, n int, c *coeffs)
TEXT ·halved(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ cb+16(FP), R8
	MOVQ cr+24(FP), R9
	MOVQ n+32(FP), CX
	MOVQ c+40(FP), AX
	CONSTANTS(AX)
next:
	VPMOVZXBW (R8), Y0
	VPMOVZXBW (R9), Y1
	SIGNED(Y0)
	SIGNED(Y1)
	PAIRS
	ADDQ $32, SI
	ADDQ $16, R8
	ADDQ $16, R9
	ADDQ $128, DI
	SUBQ $32, CX
	JNZ  next
	VZEROUPPER
	RET

// func alternating(dst, y, colours *byte, n int, c *coeffs, swap bool)
TEXT ·alternating(SB), NOSPLIT, $0-41
	MOVQ dst+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ colours+16(FP), R8
	MOVQ n+24(FP), CX
	MOVQ c+32(FP), AX
	MOVBLZX swap+40(FP), DX
	CONSTANTS(AX)
	TESTL DX, DX
	JZ   next
	// Cb and Cr change places below, so their coefficients do it, too.
	VMOVDQA Y12, Y0
	VMOVDQA Y13, Y12
	VMOVDQA Y0, Y13
	VMOVDQA Y14, Y0
	VMOVDQA Y15, Y14
	VMOVDQA Y0, Y15
next:
	VMOVDQU (R8), Y1
	VPSLLW $8, Y1, Y0
	VPXOR Y8, Y0, Y0
	VPSRLW $8, Y1, Y1
	SIGNED(Y1)
	TESTL DX, DX
	JZ   order
	VMOVDQA Y0, Y2
	VMOVDQA Y1, Y0
	VMOVDQA Y2, Y1
order:
	PAIRS
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $128, DI
	SUBQ $32, CX
	JNZ  next
	VZEROUPPER
	RET

// SINGLE converts 16 pixels. The colours are words in Y2, Y1 and Y0, not yet limited.
#define SINGLE(y, cb, cr) \
	VPMOVZXBW cb, Y0 \
	VPMOVZXBW cr, Y1 \
	SIGNED(Y0) \
	SIGNED(Y1) \
	PARTS(Y0, Y1, Y2, Y3) \
	LUMA(y, Y3) \
	VPADDSW Y3, Y0, Y0 \
	VPADDSW Y3, Y1, Y1 \
	VPADDSW Y3, Y2, Y2 \
	VPSRAW $6, Y0, Y0 \
	VPSRAW $6, Y1, Y1 \
	VPSRAW $6, Y2, Y2

// func whole(dst, y, cb, cr *byte, n int, c *coeffs)
TEXT ·whole(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ cb+16(FP), R8
	MOVQ cr+24(FP), R9
	MOVQ n+32(FP), CX
	MOVQ c+40(FP), AX
	CONSTANTS(AX)
next:
	SINGLE(0(SI), 0(R8), 0(R9))
	VMOVDQA Y0, Y5
	VMOVDQA Y1, Y6
	VMOVDQA Y2, Y7
	SINGLE(16(SI), 16(R8), 16(R9))
	VPACKUSWB Y0, Y5, Y0
	VPACKUSWB Y1, Y6, Y1
	VPACKUSWB Y2, Y7, Y2
	STORE(DI)
	ADDQ $32, SI
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $128, DI
	SUBQ $32, CX
	JNZ  next
	VZEROUPPER
	RET
