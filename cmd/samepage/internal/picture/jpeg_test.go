package picture

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
)

// A JPEG of another size, one that takes more memory than the frame, one that is cut or that is no
// JPEG, and a message whose parts do not fit together are refused.
func TestJPEGMessage(t *testing.T) {
	var e JPEGEncoder
	for _, format := range []frame.Format{frame.Gray, frame.NV12, frame.BGR} {
		spec := frame.Spec{Format: format, Width: 33, Height: 17, Stride: 120, Seq: 4}
		b := make([]byte, spec.Size()+3)
		_, err := frame.New(b, spec)
		ipctest.NoErr(t, err)
		copy(b[spec.Size():], "xyz")
		m, why, err := e.Message(b, 80)
		if ipctest.NoErr(t, err); why != "" || string(m.Extra) != "xyz" || m.Size != int64(len(b)) {
			t.Fatalf("%q, %+v", why, m)
		}
		into := bytes.Repeat([]byte{7}, len(b))
		ipctest.NoErr(t, m.Draw(into))
		f, err := frame.Open(into)
		if ipctest.NoErr(t, err); f.Spec().Seq != 4 || string(into[spec.Size():]) != "xyz" {
			t.Errorf("%+v", f.Spec())
		}
		if pad := f.Pix(0)[110:120]; slices.ContainsFunc(pad, func(v byte) bool { return v != 0 }) {
			t.Errorf("%v: the bytes after a row are %v", format, pad)
		}
		of := func(img image.Image) []byte {
			var out bytes.Buffer
			ipctest.NoErr(t, jpeg.Encode(&out, img, nil))
			return out.Bytes()
		}
		progressive := bytes.Replace(m.Data, []byte{0xff, 0xc0}, []byte{0xff, 0xc2}, 1)
		colours := of(image.NewYCbCr(image.Rect(0, 0, 33, 17), image.YCbCrSubsampleRatio420))
		for what, change := range map[string]func(*JPEGMessage){
			"another size":     func(m *JPEGMessage) { m.Data = of(image.NewGray(image.Rect(0, 0, 33, 18))) },
			"a progressive":    func(m *JPEGMessage) { m.Data = progressive },
			"it is cut":        func(m *JPEGMessage) { m.Data = m.Data[:len(m.Data)/2] },
			"no JPEG":          func(m *JPEGMessage) { m.Data = []byte("GIF89a") },
			"nothing":          func(m *JPEGMessage) { m.Data = nil },
			"no header":        func(m *JPEGMessage) { m.Header = m.Header[1:] },
			"a damaged header": func(m *JPEGMessage) { m.Header = bytes.Repeat([]byte{1}, len(m.Header)) },
			"another length":   func(m *JPEGMessage) { m.Size++ },
			"much after it":    func(m *JPEGMessage) { m.Extra = make([]byte, m.Size) },
			"less after it":    func(m *JPEGMessage) { m.Extra = nil },
			"samples for gray": func(m *JPEGMessage) {
				if m.Data = colours; format != frame.Gray {
					m.Data = nil
				}
			},
		} {
			bad := m
			change(&bad)
			if err := bad.Draw(into); err == nil {
				t.Errorf("%v: %s: no error", format, what)
			} else {
				ipctest.WantErr(t, err, samepage.ErrCorrupt)
			}
		}
	}
}
