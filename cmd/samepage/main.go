// Command samepage.
package main

func main() {}
