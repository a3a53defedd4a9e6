package baseimage_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"log"

	"samepage/legacy/baseimage"
)

// The program of a camera, and a program that uses its pictures. Either may be an existing C++
// program.
func ExampleReceiver() {
	ctx := context.Background()
	// Without names the objects have those of the existing programs.
	base, err := baseimage.CreateSender(&baseimage.SenderOptions{Name: "ExampleImage", Event: "ExampleImageReady"})
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	picture := image.NewGray(image.Rect(0, 0, 640, 480))
	picture.SetGray(3, 4, color.Gray{Y: 200})
	if err := base.Send(ctx, picture); err != nil {
		log.Fatal(err)
	}

	// Another process.
	algorithm, err := baseimage.AwaitReceiver(ctx, &baseimage.ReceiverOptions{Name: "ExampleImage", Event: "ExampleImageReady"})
	if err != nil {
		log.Fatal(err)
	}
	defer algorithm.Close()
	f, err := algorithm.Grab(ctx) // good until the next one
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Width(), f.Height(), f.Format(), f.Image().At(3, 4))
	// Output: 640 480 gray {200}
}
