package frame_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"runtime"
	"testing"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// An image keeps the memory of its pixels mapped, also if the program has dropped everything else.
// So does a SubImage of an image of this package.
func TestForgottenNotWhileItsImageIsUsed(t *testing.T) {
	ipctest.NeedNames(t)
	for _, format := range []frame.Format{frame.Gray, frame.Gray16, frame.RGB, frame.BGR, frame.RGBA, frame.BGRA, frame.I420, frame.NV12} {
		for what, take := range map[string]func(p *frame.Publisher, s *frame.Subscriber, l *frame.Loan) (image.Image, error){
			"loan": func(_ *frame.Publisher, _ *frame.Subscriber, l *frame.Loan) (image.Image, error) {
				return l.Image(), nil
			},
			"message": func(p *frame.Publisher, s *frame.Subscriber, l *frame.Loan) (image.Image, error) {
				if err := l.Publish(bg); err != nil {
					return nil, err
				}
				m, err := s.Take(bg)
				if err != nil {
					return nil, err
				}
				return m.Image(), p.Close()
			},
			"held": func(p *frame.Publisher, s *frame.Subscriber, l *frame.Loan) (image.Image, error) {
				if err := l.Publish(bg); err != nil {
					return nil, err
				}
				m, err := s.Take(bg)
				if err != nil {
					return nil, err
				}
				h, err := m.Hold()
				if err != nil {
					return nil, err
				}
				return h.Image(), p.Close()
			},
		} {
			t.Run(fmt.Sprint(format, "_", what), func(t *testing.T) {
				ipctest.Store(t)
				spec := frame.Spec{Format: format, Width: 64, Height: 64}
				img := func() image.Image {
					p, _, err := frame.OpenOrCreatePublisher("t", spec, &pubsub.Options{Holds: 1})
					ipctest.NoErr(t, err)
					s, err := frame.OpenSubscriber("t", nil)
					ipctest.NoErr(t, err)
					l, err := p.Loan(spec)
					ipctest.NoErr(t, err)
					frame.Draw(l.Frame, image.NewUniform(color.White))
					img, err := take(p, s, l)
					ipctest.NoErr(t, err)
					return img
				}()
				collectedAll(t)
				white(t, img)
				switch whole := img.(type) {
				case *frame.PackedImage:
					img = whole.SubImage(image.Rect(5, 5, 20, 20))
				case *frame.Gray16Image:
					img = whole.SubImage(image.Rect(5, 5, 20, 20))
				case *frame.YUVImage:
					img = whole.SubImage(image.Rect(4, 4, 20, 20))
				}
				collectedAll(t)
				white(t, img)
				runtime.KeepAlive(img)
				img = nil
				ipctest.Collect(t, "the topic", func() error {
					all, err := samepage.List()
					if err == nil && len(all) > 0 {
						err = fmt.Errorf("there is %q", all[0].Name)
					}
					return err
				})
			})
		}
	}
}

func white(t *testing.T, img image.Image) {
	t.Helper()
	b := img.Bounds()
	for _, at := range []image.Point{b.Min, b.Max.Sub(image.Pt(1, 1))} {
		if r, g, b, _ := img.At(at.X, at.Y).RGBA(); r < 0xf000 || g < 0xf000 || b < 0xf000 {
			t.Errorf("%T: %v is %x %x %x", img, at, r, g, b)
		}
	}
}

// collectedAll drops a memory, and returns after it and everything else that can be collected were
// collected.
func collectedAll(t *testing.T) {
	t.Helper()
	for range 2 {
		func() {
			_, err := samepage.Create("a witness", 100, nil)
			ipctest.NoErr(t, err)
		}()
		ipctest.Collect(t, "a witness", func() error {
			if _, err := samepage.Stat("a witness", nil); err != nil {
				return nil
			}
			return errors.New("it is there")
		})
	}
}
