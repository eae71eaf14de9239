package block

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/oklog/ulid/v2"
)

// ParseMeta decodes and validates meta.json.
//
// Output: owns nothing of data. Labels is never nil.
// Errors: *MetaError for what is not JSON or cannot hold (see Validate),
// *UnsupportedError for versions that are not known.
func ParseMeta(data []byte) (*Meta, error) {
	m := &Meta{}
	if err := unmarshal(data, m); err != nil {
		return nil, &MetaError{Block: m.ULID, File: MetaFile, Field: jsonField(err), Err: err}
	}
	if m.Thanos.Labels == nil {
		m.Thanos.Labels = map[string]string{}
	}
	m.Thanos.Extensions = compactJSON(m.Thanos.Extensions)
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// compactJSON returns JSON without the blanks that are there for people, and nil
// for null.
func compactJSON(in json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(in) == 0 || string(in) == "null" || json.Compact(&b, in) != nil {
		return nil
	}
	return b.Bytes()
}

// parseMetaOf is ParseMeta of a file that was found in the block's directory.
func parseMetaOf(id ulid.ULID, data []byte) (*Meta, error) {
	m, err := ParseMeta(data)
	if err != nil {
		return nil, inBlock(err, id)
	}
	if m.ULID != id {
		return nil, &MetaError{Block: id, File: MetaFile, Field: "ulid", Err: fmt.Errorf("%s is another block's", m.ULID)}
	}
	return m, nil
}

// inBlock sets the block of an error, which is known better by where a file was
// found than by what it says.
func inBlock(err error, id ulid.ULID) error {
	if e, ok := errors.AsType[*MetaError](err); ok {
		return &MetaError{Block: id, File: e.File, Field: e.Field, Err: e.Err}
	}
	if e, ok := errors.AsType[*UnsupportedError](err); ok {
		return &UnsupportedError{Block: id, File: e.File, What: e.What}
	}
	return err
}

// jsonField returns the path of the field that an error of encoding/json is
// about, if it knows.
func jsonField(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return e.Field
	}
	return ""
}

// Validate checks what readers rely on: known versions, a ULID, a range that is
// not reversed, no negative sizes, and file names that stay within the block.
//
// Errors: *UnsupportedError, *MetaError with the first field that cannot hold.
func (m *Meta) Validate() error {
	if m.Version != metaVersion {
		return &UnsupportedError{Block: m.ULID, File: MetaFile, What: fmt.Sprintf("version %d", m.Version)}
	}
	if v := m.Thanos.Version; v != 0 && v != thanosVersion {
		return &UnsupportedError{Block: m.ULID, File: MetaFile, What: fmt.Sprintf("thanos.version %d", v)}
	}
	if field, err := m.invalid(); err != nil {
		return &MetaError{Block: m.ULID, File: MetaFile, Field: field, Err: err}
	}
	return nil
}

// invalid returns the first field that cannot hold.
func (m *Meta) invalid() (field string, err error) {
	t := &m.Thanos
	switch {
	case m.ULID.IsZero():
		return "ulid", errors.New("missing or zero")
	case m.MinTime > m.MaxTime:
		return "minTime", fmt.Errorf("%d is after maxTime %d", m.MinTime, m.MaxTime)
	case m.Compaction.Level < 0:
		return "compaction.level", fmt.Errorf("%d is negative", m.Compaction.Level)
	case t.Downsample.Resolution < 0:
		return "thanos.downsample.resolution", fmt.Errorf("%d is negative", t.Downsample.Resolution)
	case t.IndexStats.SeriesMaxSize < 0:
		return "thanos.index_stats.series_max_size", fmt.Errorf("%d is negative", t.IndexStats.SeriesMaxSize)
	case t.IndexStats.ChunkMaxSize < 0:
		return "thanos.index_stats.chunk_max_size", fmt.Errorf("%d is negative", t.IndexStats.ChunkMaxSize)
	}
	if _, ok := t.Labels[""]; ok {
		return "thanos.labels", errors.New("label without a name")
	}
	if i, err := invalidSegment(t.SegmentFiles); err != nil {
		return fmt.Sprintf("thanos.segment_files[%d]", i), err
	}
	return t.invalidFiles()
}

// invalidSegment returns the first name that cannot be that of a segment.
func invalidSegment(names []string) (int, error) {
	seen := make(map[string]struct{}, len(names))
	for i, name := range names {
		if err := checkFile(name); err != nil {
			return i, err
		}
		if strings.Contains(name, "/") {
			return i, fmt.Errorf("%q is not the name of a file", name)
		}
		if _, ok := seen[name]; ok {
			return i, fmt.Errorf("%q is there twice", name)
		}
		seen[name] = struct{}{}
	}
	return 0, nil
}

// invalidFiles checks files[].
func (t *Thanos) invalidFiles() (field string, err error) {
	seen := make(map[string]struct{}, len(t.Files))
	for i, f := range t.Files {
		if err := checkFile(f.RelPath); err != nil {
			return fmt.Sprintf("thanos.files[%d].rel_path", i), err
		}
		if _, ok := seen[f.RelPath]; ok {
			return fmt.Sprintf("thanos.files[%d].rel_path", i), fmt.Errorf("%q is there twice", f.RelPath)
		}
		seen[f.RelPath] = struct{}{}
		if f.SizeBytes < 0 {
			return fmt.Sprintf("thanos.files[%d].size_bytes", i), fmt.Errorf("%d is negative", f.SizeBytes)
		}
	}
	return "", nil
}

// checkFile accepts names of files that lie in the block, here and in a bucket.
func checkFile(name string) error {
	if name == "" || name == "." || path.Clean(name) != name || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsAny(name, "\\\x00") {
		return fmt.Errorf("%q is not a file of the block", name)
	}
	return nil
}
