package demo

import (
	"context"
	"fmt"
	"image"
	"math"

	"samepage/frame"
)

const (
	sceneWidth  = 1280
	sceneHeight = 720
	sceneMargin = 12 // of the region around the ball
)

// scene draws balls that move in front of an evening sky. The region to be erased is around
// the largest ball.
type scene struct {
	frame int
	back  []byte // the sky, drawn once
	balls []ball
}

type ball struct {
	radius  float64
	x, y    float64 // where it starts, within the space in which its centre moves
	vx, vy  float64 // pixels a frame
	r, g, b float64
}

func newScene() *scene {
	s := &scene{
		back: make([]byte, 4*sceneWidth*sceneHeight),
		balls: []ball{
			{54, 900, 80, -4.1, 2.3, 240, 196, 92},
			{38, 200, 400, 3.3, 3.7, 108, 190, 210},
			{70, 620, 300, 2.2, -2.9, 214, 92, 104},
			{30, 1000, 500, -5.2, -3.1, 226, 226, 214},
			{46, 80, 60, 4.6, 1.9, 122, 160, 92},
			{96, 300, 120, 3.1, 2.1, 250, 138, 64}, // the ball to be erased, in front
		},
	}
	i := 0
	for y := range sceneHeight {
		v := float64(y) / sceneHeight
		for x := range sceneWidth {
			u := float64(x) / sceneWidth
			glow := math.Exp(-((u-.68)*(u-.68)*5 + (v-.92)*(v-.92)*9))
			hill := .8 + .07*math.Sin(u*7.1) + .03*math.Sin(u*19+1.3)
			r, g, b := 22+96*v+150*glow, 30+52*v+96*glow, 76+58*v+22*glow
			if v > hill {
				t := math.Min(1, (v-hill)*140) // a soft edge
				shade := 1 - (v-hill)*1.6
				r, g, b = r+(26*shade-r)*t, g+(34*shade-g)*t, b+(48*shade-b)*t
			}
			s.back[i], s.back[i+1], s.back[i+2], s.back[i+3] = tone(r), tone(g), tone(b), 255
			i += 4
		}
	}
	return s
}

func tone(v float64) byte { return byte(math.Max(0, math.Min(255, v+.5))) }

// room returns the room for a picture of the scene with the region around the largest ball.
func (s *scene) room(context.Context) (room, error) {
	reach := 2 * (int(s.balls[len(s.balls)-1].radius) + sceneMargin)
	return roomFor(image.Pt(sceneWidth, sceneHeight), image.Rect(0, 0, reach, reach)), nil
}

func (*scene) drop(room, error) bool { return false }

func (s *scene) next() (*drawable, error) {
	s.frame++
	n := s.frame
	b := s.balls[len(s.balls)-1]
	x, y := b.at(n)
	reach := int(b.radius) + sceneMargin
	region := image.Rect(int(x)-reach, int(y)-reach, int(x)+reach, int(y)+reach)
	bounds := image.Rect(0, 0, sceneWidth, sceneHeight)
	name := fmt.Sprintf("scene-%06d", n)
	return &drawable{
		name: name, out: name, bounds: bounds, region: region.Intersect(bounds),
		draw: func(dst *frame.Frame) { s.draw(nrgba(dst), n) },
	}, nil
}

func (s *scene) draw(dst *image.NRGBA, frame int) {
	copy(dst.Pix, s.back)
	for _, b := range s.balls {
		b.draw(dst, frame)
	}
}

// at returns the centre of the ball, which moves to and fro between the edges.
func (b *ball) at(frame int) (x, y float64) {
	fold := func(v, span float64) float64 {
		v = math.Mod(math.Mod(v, 2*span)+2*span, 2*span)
		return math.Min(v, 2*span-v)
	}
	t := float64(frame)
	return b.radius + fold(b.x+b.vx*t, sceneWidth-2*b.radius),
		b.radius + fold(b.y+b.vy*t, sceneHeight-2*b.radius)
}

// draw draws the ball as a sphere with light from the upper left.
func (b *ball) draw(dst *image.NRGBA, frame int) {
	cx, cy := b.at(frame)
	r := int(b.radius) + 2
	box := image.Rect(int(cx)-r, int(cy)-r, int(cx)+r+1, int(cy)+r+1).Intersect(dst.Rect)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		line := row(dst, box, y)
		for i := 0; i < len(line); i += 4 {
			dx, dy := (float64(box.Min.X+i/4)-cx)/b.radius, (float64(y)-cy)/b.radius
			d := math.Sqrt(dx*dx + dy*dy)
			cover := math.Min(1, (1-d)*b.radius+.5)
			if cover <= 0 {
				continue
			}
			dz := math.Sqrt(math.Max(0, 1-d*d))
			light := .28 + .72*math.Max(0, -.45*dx-.6*dy+.66*dz)
			shine := 110 * math.Pow(math.Max(0, -.36*dx-.5*dy+.79*dz), 24)
			p := line[i : i+4]
			p[0] = mix(p[0], b.r*light+shine, cover)
			p[1] = mix(p[1], b.g*light+shine, cover)
			p[2] = mix(p[2], b.b*light+shine, cover)
		}
	}
}

func mix(under byte, over, cover float64) byte {
	return tone(float64(under)*(1-cover) + over*cover)
}
