// How long libswscale of ffmpeg takes to convert a picture, on one thread.
//
//   swscale FROM TO WIDTH HEIGHT SECONDS FLAGS
//
// FROM and TO are pixel formats of ffmpeg, FLAGS are flags of sws_getContext. It prints the
// nanoseconds of a picture, and a checksum, so that the compiler leaves nothing out.
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return fprintf(stderr, "want FROM TO WIDTH HEIGHT SECONDS FLAGS\n"), 2;
	enum AVPixelFormat from = av_get_pix_fmt(argv[1]), to = av_get_pix_fmt(argv[2]);
	int w = atoi(argv[3]), h = atoi(argv[4]), flags = atoi(argv[6]);
	double seconds = atof(argv[5]);
	uint8_t *in[4], *out[4];
	int inStride[4], outStride[4];
	int size = av_image_alloc(in, inStride, w, h, from, 64);
	int outSize = av_image_alloc(out, outStride, w, h, to, 64);
	struct SwsContext *c = sws_getContext(w, h, from, w, h, to, flags, NULL, NULL, NULL);
	if (size < 0 || outSize < 0 || !c)
		return fprintf(stderr, "cannot convert %s to %s\n", argv[1], argv[2]), 1;
	for (int i = 0; i < size; i++)
		in[0][i] = (uint8_t)(i * 7 + i / 1920);
	unsigned long n = 0;
	double begun = 0, t = 0;
	for (int warm = 1; warm >= 0; warm--) {
		n = 0;
		begun = now();
		do {
			sws_scale(c, (const uint8_t *const *)in, inStride, 0, h, out, outStride);
			n++;
			t = now() - begun;
		} while (t < (warm ? seconds / 4 : seconds));
	}
	unsigned long sum = 0;
	for (int i = 0; i < outSize; i += 97)
		sum += out[0][i];
	printf("%.1f %lu\n", t * 1e9 / n, sum);
	return 0;
}
