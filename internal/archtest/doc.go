// Package archtest holds the module to its architecture: which package may
// import which, what nobody may link, how many modules each package costs those
// who import it, and the few habits that a compiler or a linter does not see.
//
//	go test ./internal/archtest           # check
//	go test ./internal/archtest -update   # rewrite the committed module lists
//
// It also holds pages to what is there: their links, and the lists of packages.
//
// It has tests only. Each rule is a row of a table with the reason beside it: a
// rule that is in the way is changed there, with the reason, in the commit that
// needs it. Everything is derived from one run of go list and from the source
// files; nothing is downloaded.
//
// A package must be in the table before it can be in the module: layers_test.go
// says which layer it belongs to. The lists in testdata/deps name the modules
// that a program links when it imports the package, on linux/amd64, our own
// module not counted; a change of them is a change that every user pays for.
package archtest
