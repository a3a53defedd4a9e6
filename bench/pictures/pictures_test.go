// Package pictures compares conversions of pictures with those of ffmpeg's library swscale, on one
// thread:
//
//	go test ./bench/pictures -bench .
//
// Both are measured in turn, in the same run. "ratio" is the median of the rounds: our time divided
// by that of swscale. The benchmarks are skipped if gcc or the library is missing
// (apt-get install gcc libswscale-dev).
package pictures

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"samepage/frame"
)

const (
	width, height = 1920, 1080
	rounds        = 7
	round         = 250 * time.Millisecond
)

// bilinear is the flag SWS_BILINEAR. Without SWS_ACCURATE_RND swscale uses its fastest code.
const bilinear = 2

// swscale builds the C program.
func swscale(tb testing.TB) string {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		tb.Skip("gcc is not installed (apt-get install gcc)")
	}
	program := filepath.Join(tb.TempDir(), "swscale")
	if out, err := exec.Command(gcc, "-O2", "-o", program, "swscale/swscale.c", "-lswscale", "-lavutil").CombinedOutput(); err != nil {
		tb.Skipf("swscale.c cannot be built (apt-get install libswscale-dev): %v\n%s", err, out)
	}
	return program
}

func BenchmarkToRGBA(b *testing.B) {
	program := swscale(b)
	for _, c := range []struct {
		name, from, to string
		src, dst       frame.Format
	}{
		{"I420-RGBA", "yuv420p", "rgba", frame.I420, frame.RGBA},
		{"NV12-RGBA", "nv12", "rgba", frame.NV12, frame.RGBA},
		{"I420-BGRA", "yuv420p", "bgra", frame.I420, frame.BGRA},
		{"NV12-BGRA", "nv12", "bgra", frame.NV12, frame.BGRA},
	} {
		b.Run(c.name, func(b *testing.B) {
			spec := frame.Spec{Format: c.src, Width: width, Height: height}
			src, err := frame.New(make([]byte, spec.Size()), spec)
			if err != nil {
				b.Fatal(err)
			}
			for i, pix := 0, src.Bytes()[256:]; i < len(pix); i++ {
				pix[i] = byte(i*7 + i/1920)
			}
			spec.Format = c.dst
			dst, err := frame.New(make([]byte, spec.Size()), spec)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				frame.Draw(dst, src.Image())
			}
			b.StopTimer()
			var ours, theirs, ratios []float64
			for range rounds {
				n, begun := 0, time.Now()
				for time.Since(begun) < round {
					frame.Draw(dst, src.Image())
					n++
				}
				mine := float64(time.Since(begun).Nanoseconds()) / float64(n)
				out, err := exec.Command(program, c.from, c.to, fmt.Sprint(width), fmt.Sprint(height), fmt.Sprint(round.Seconds()), fmt.Sprint(bilinear)).Output()
				if err != nil {
					b.Fatal(err)
				}
				var its float64
				var sum uint64
				if _, err := fmt.Sscan(string(out), &its, &sum); err != nil {
					b.Fatal(err)
				}
				ours, theirs, ratios = append(ours, mine), append(theirs, its), append(ratios, mine/its)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours)/1e6, "ms")
			b.ReportMetric(median(theirs)/1e6, "swscale-ms")
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
