package program

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
)

// Content is a configuration that is given in the command line or in a file.
type Content struct{ name, text, file string }

// NewContent declares the flags --<name> and --<name>-file.
func NewContent(flags *flag.FlagSet, name, usage string) *Content {
	c := &Content{name: name}
	flags.StringVar(&c.text, name, "", usage+"; $(NAME) stands for an environment variable")
	flags.StringVar(&c.file, name+"-file", "", "file with what --"+name+" takes")
	return c
}

// Given reports whether one of the flags was.
func (c *Content) Given() bool { return c.text != "" || c.file != "" }

// String names the flag that was given, and the file.
func (c *Content) String() string {
	if c.file != "" {
		return "--" + c.name + "-file=" + c.file
	}
	return "--" + c.name
}

// Read returns the configuration, nil if none was given. Errors do not have any of
// it in them: there may be secrets.
func (c *Content) Read() ([]byte, error) {
	text := []byte(c.text)
	switch {
	case c.text != "" && c.file != "":
		return nil, fmt.Errorf("--%s and --%s-file exclude each other", c.name, c.name)
	case c.file != "":
		var err error
		if text, err = os.ReadFile(c.file); err != nil {
			return nil, fmt.Errorf("read --%s-file: %w", c.name, err)
		}
	case c.text == "":
		return nil, nil
	}
	return expand(text, os.LookupEnv)
}

var reference = regexp.MustCompile(`\$\([a-zA-Z_0-9]+\)`)

// expand puts in what the environment has for each $(NAME).
func expand(text []byte, lookup func(string) (string, bool)) ([]byte, error) {
	var errs []error
	out := reference.ReplaceAllFunc(text, func(ref []byte) []byte {
		name := string(ref[2 : len(ref)-1])
		value, ok := lookup(name)
		if !ok {
			errs = append(errs, fmt.Errorf("expand %s: not in the environment", ref))
		}
		return []byte(value)
	})
	return out, errors.Join(errs...)
}
