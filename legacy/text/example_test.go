package text_test

import (
	"fmt"
	"log"

	"samepage/legacy/text"
)

// A server writes a text, and a client answers.
func ExampleText() {
	server, err := text.Create("ExampleText", "", 0) // "" over the page file
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	if err := server.Set("hello my first mapping file!\n"); err != nil {
		log.Fatal(err)
	}

	// Another process.
	client, err := text.Open("ExampleText")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	s, err := client.Get()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(s)
	if err := client.Set("second data!\n"); err != nil {
		log.Fatal(err)
	}

	if s, err = server.Get(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(s)
	// Output:
	// hello my first mapping file!
	// second data!
}
