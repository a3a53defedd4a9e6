package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/png" // what the answers are decoded from
	"log"

	"samepage"
	"samepage/legacy"
)

// A camera's program, and the program that looks at its pictures: either may be an
// existing one in C++.
func ExampleBaseImageReceiver() {
	ctx := context.Background()
	// The zero Options have the names of the existing programs.
	opts := &legacy.BaseImageOptions{Name: "ExampleImage", Event: "ExampleImageReady"}
	base, err := legacy.CreateBaseImage(opts)
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
	algorithm, err := legacy.AwaitBaseImage(ctx, opts)
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

// A server of a text, and a client that answers it.
func ExampleText() {
	server, err := legacy.CreateText("ExampleText", "", 0) // "" over the page file
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	if err := server.Set("hello my first mapping file!\n"); err != nil {
		log.Fatal(err)
	}

	// Another process.
	client, err := legacy.OpenText("ExampleText")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	text, err := client.Get()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(text)
	if err := client.Set("second data!\n"); err != nil {
		log.Fatal(err)
	}

	if text, err = server.Get(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(text)
	// Output:
	// hello my first mapping file!
	// second data!
}

// A requester of image jobs, whose worker may be an existing program in C++.
func ExampleEarseImageRequester() {
	ctx := context.Background()
	r, err := legacy.NewEarseImageRequester(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	answer, err := r.Do(ctx, legacy.EarseImageJob{Source: `D:\scans\page.png`, Type: legacy.ImagePNG})
	switch {
	case errors.Is(err, samepage.ErrPeerNotStarted):
		log.Fatal("start the worker first: ", err)
	case errors.Is(err, legacy.ErrJobFailed):
		log.Fatal("the text has its reason: ", err)
	case err != nil:
		log.Fatal(err)
	}
	for i := range answer.Images {
		img, err := answer.Decode(i)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Images[i].Type, img.Bounds())
	}
}
