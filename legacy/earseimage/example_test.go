package earseimage_test

import (
	"context"
	"errors"
	"fmt"
	_ "image/png" // the answers of this example are PNG files
	"log"

	"samepage"
	"samepage/legacy/earseimage"
)

// A requester of image jobs. Its worker may be an existing C++ program.
func ExampleRequester() {
	ctx := context.Background()
	r, err := earseimage.CreateRequester(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	answer, err := r.Do(ctx, earseimage.Job{Source: `D:\scans\page.png`, Type: earseimage.PNG})
	switch {
	case errors.Is(err, samepage.ErrPeerNotStarted):
		log.Fatal("start the worker first: ", err)
	case errors.Is(err, earseimage.ErrJobFailed):
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
