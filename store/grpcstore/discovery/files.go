package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v2"
)

// file is what a file said last.
type file[T any] struct {
	path  string
	parse func(path string, text []byte) (T, error)

	value T
	text  []byte // of the value
	good  bool   // there is a value
	err   error  // why the file is not the value
}

// read reads the file, and reports whether it went wrong in a new way.
func (f *file[T]) read() (newErr bool) {
	before := f.err
	f.err = f.load()
	return f.err != nil && !sameError(before, f.err)
}

func (f *file[T]) load() error {
	text, err := os.ReadFile(f.path)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // the path is said once
		}
		return err
	}
	if f.good && bytes.Equal(text, f.text) {
		return nil
	}
	value, err := f.parse(f.path, text)
	if err != nil {
		return err
	}
	f.value, f.text, f.good = value, text, true
	return nil
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Error() == b.Error()
}

// checkPattern returns what is wrong with the path of a file for file SD.
//
// Source: discovery/file of Prometheus, which takes a star in the last element
// only; here all of path/filepath's patterns may be anywhere.
func checkPattern(pattern string) error {
	switch strings.ToLower(filepath.Ext(pattern)) {
	case ".json", ".yml", ".yaml":
	default:
		return fmt.Errorf("path %q does not end in .json, .yml or .yaml", pattern)
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("path %q: %w", pattern, err)
	}
	return nil
}

// glob returns the files that patterns stand for, sorted. A path without a pattern
// stands for itself, whether there is a file or not: a gap while it is replaced is
// not the end of its endpoints. A file of a pattern that is gone is gone.
func glob(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, `*?[\`) {
			out = append(out, p)
			continue
		}
		found, _ := filepath.Glob(p) // the pattern was checked
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// targetGroup is an element of a file of file SD. Its labels are checked to be
// some, and not used.
type targetGroup struct {
	Targets []string          `json:"targets" yaml:"targets"`
	Labels  map[string]string `json:"labels"  yaml:"labels"`
}

// parseTargets reads a file of file SD. The extension says whether it is JSON or
// YAML; in neither are unknown fields allowed.
func parseTargets(path string, text []byte) ([]Endpoint, error) {
	var groups []*targetGroup
	var err error
	if strings.EqualFold(filepath.Ext(path), ".json") {
		err = parseJSON(text, &groups)
	} else {
		err = yaml.UnmarshalStrict(text, &groups)
	}
	if err != nil {
		return nil, err
	}
	var out []Endpoint
	for i, g := range groups {
		if g == nil {
			return nil, fmt.Errorf("target group %d is null", i+1)
		}
		for _, t := range g.Targets {
			if _, err := parseAddress(t); err != nil {
				return nil, err
			}
			out = append(out, Endpoint{Address: t})
		}
	}
	return out, nil
}

func parseJSON(text []byte, groups *[]*targetGroup) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(groups); err != nil {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:dec.InputOffset()], []byte("\n")), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// parseConfigFile is ParseConfig for a file, whose path is said elsewhere.
func parseConfigFile(_ string, text []byte) (*Config, error) { return ParseConfig(text) }
