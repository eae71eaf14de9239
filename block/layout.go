package block

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Resolution is the distance of samples in a downsampled block in milliseconds,
// or 0 for samples as they were scraped.
type Resolution int64

// The resolutions that Thanos knows.
const (
	Raw         Resolution = 0
	FiveMinutes Resolution = 300_000
	OneHour     Resolution = 3_600_000
)

// String returns "raw", "5m", "1h", or any other as a duration.
func (r Resolution) String() string {
	switch r {
	case Raw:
		return "raw"
	case FiveMinutes:
		return "5m"
	case OneHour:
		return "1h"
	}
	return (time.Duration(r) * time.Millisecond).String()
}

// File returns what meta.json says about a file, relative to the block. It is
// false if it says nothing: the list is there since Thanos v0.17.
func (m *Meta) File(name string) (File, bool) {
	for _, f := range m.Thanos.Files {
		if f.RelPath == name {
			return f, true
		}
	}
	return File{}, false
}

// IndexSize returns the size of the index in bytes, or 0 if meta.json does not
// say.
func (m *Meta) IndexSize() int64 {
	f, _ := m.File(IndexFile)
	return f.SizeBytes
}

// Segments returns the files with the block's chunks, in the order by which
// chunk references number them. The slice is a new one. It is nil if meta.json does not name them; they
// are then those that are there, sorted, in a block that Prometheus wrote the
// same as SegmentName(0), SegmentName(1)...
//
// The names are segment_files if there is such a list, as for Thanos, else the
// numbers below chunks/ in files. A SizeBytes of 0 is one that is not known.
func (m *Meta) Segments() []File {
	var found []File
	for _, f := range m.Thanos.Files {
		if isSegment(f.RelPath) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b File) int { return strings.Compare(a.RelPath, b.RelPath) })
	if len(m.Thanos.SegmentFiles) == 0 {
		return found
	}
	byName := fileMap(found)
	named := make([]File, len(m.Thanos.SegmentFiles))
	for i, name := range m.Thanos.SegmentFiles {
		file := ChunksDir + "/" + name
		f, ok := byName[file]
		if !ok {
			f = File{RelPath: file}
		}
		named[i] = f
	}
	return named
}

// fileMap returns files by their path.
func fileMap(files []File) map[string]File {
	m := make(map[string]File, len(files))
	for _, f := range files {
		m[f.RelPath] = f
	}
	return m
}

// SegmentName returns the file of the i-th segment, counted from 0, as
// Prometheus names it: "chunks/000001" for the first.
func SegmentName(i int) string { return fmt.Sprintf("%s/%06d", ChunksDir, i+1) }

// SegmentFile returns the file of the i-th segment as Segments has it, or as
// SegmentName has it if meta.json names none. It is false if meta.json names
// them and there is no i-th.
func (m *Meta) SegmentFile(i int) (File, bool) {
	if i < 0 {
		return File{}, false
	}
	segments := m.Segments()
	if segments == nil {
		return File{RelPath: SegmentName(i)}, true
	}
	if i >= len(segments) {
		return File{}, false
	}
	return segments[i], true
}
