// Command quickstart asks any number of StoreAPIs one PromQL question and
// prints the deduplicated answer, and who gave it. It is the program in the
// README.
//
//	go run ./examples/quickstart 127.0.0.1:10901 127.0.0.1:10911
package main
