package shipper_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// Whatever the record holds, blocks reach the bucket, and afterwards it is right.
func TestRecord(t *testing.T) {
	t.Parallel()
	known := newID(1).String()
	for name, tc := range map[string]struct {
		text    string
		names   bool // the first block
		warning bool
	}{
		"Thanos'":         {text: "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"" + known + "\"\n\t]\n}\n", names: true},
		"on one line":     {text: `{"version":1,"uploaded":["` + known + `"]}`, names: true},
		"with others":     {text: `{"version":1,"uploaded":["` + newID(77).String() + `","` + known + `"],"more":[{}]}`, names: true},
		"null":            {text: `{"version":1,"uploaded":null}`},
		"no list":         {text: `{"version":1}`},
		"empty file":      {text: "", warning: true},
		"torn":            {text: `{"version":1,"uploaded":["` + known, warning: true},
		"no ULID":         {text: `{"version":1,"uploaded":["x"]}`, warning: true},
		"another version": {text: `{"version":2,"uploaded":["` + known + `"]}`, warning: true},
		"no version":      {text: `{"uploaded":["` + known + `"]}`, warning: true},
		"an array":        {text: `[]`, warning: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			first, second := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
			testutil.Ok(t, os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), []byte(tc.text), 0o600))
			res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
			testutil.Ok(t, err)
			want := []ulid.ULID{first, second}
			if tc.names {
				want = want[1:]
			}
			testutil.Equals(t, want, res.Uploaded)
			testutil.Equals(t, tc.warning, len(res.Warnings) == 1, "%v", res.Warnings)
			if tc.warning {
				testutil.Assert(t, errors.Is(res.Warnings[0], shipper.ErrRecord), "%v", res.Warnings)
			}
			testutil.Equals(t, record(first, second), readRecord(t, dir))
		})
	}
}

// A record that cannot be written is a warning: the bucket knows as well.
func TestRecordCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	// What is there is a directory, and one that is not empty.
	testutil.Ok(t, os.MkdirAll(filepath.Join(dir, shipper.DefaultMetaFileName, "x"), 0o750))
	s := newShipper(t, bkt, dir, shipper.Options{})
	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
	for _, w := range res.Warnings {
		testutil.Assert(t, errors.Is(w, shipper.ErrRecord), "%v", w)
	}
	testutil.Equals(t, 1, len(res.Warnings), "%v", res.Warnings) // and not one for each attempt
	res, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(res.Found)+len(res.Uploaded)) // it remembers
	res, err = newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, res.Found)
}

// A record that cannot be read for the moment is not overwritten, and what was
// known is known still: a block that a compactor has deleted does not come back.
func TestRecordCannotBeReadForNow(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	first := put(t, dir, spec{n: 1, at: 0})
	s := newShipper(t, bkt, dir, shipper.Options{})
	_, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, block.Delete(t.Context(), bkt, first))
	second := put(t, dir, spec{n: 2, at: 2})
	path := filepath.Join(dir, shipper.DefaultMetaFileName)
	testutil.Ok(t, os.Rename(path, path+".kept"))
	testutil.Ok(t, os.Symlink(path, path)) // to itself, which nobody can open

	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{second}, res.Uploaded)
	testutil.Assert(t, len(res.Warnings) == 1 && errors.Is(res.Warnings[0], shipper.ErrRecord), "%v", res.Warnings)
	info, err := os.Lstat(path)
	testutil.Ok(t, err)
	testutil.Assert(t, info.Mode()&os.ModeSymlink != 0, "overwritten: %v", info.Mode())

	testutil.Ok(t, os.Rename(path+".kept", path))
	res, err = s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, shipper.Result{Found: []ulid.ULID{second}}, res)
	testutil.Equals(t, record(first, second), readRecord(t, dir))
}

// A record that turns out to be none, while the shipper runs, costs it nothing
// that it knew.
func TestRecordIsGarbledLater(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	id := put(t, dir, spec{n: 1, at: 0})
	s := newShipper(t, bkt, dir, shipper.Options{})
	_, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), nil, 0o600))
	bkt.Reset()
	res, err := s.Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(res.Warnings))
	testutil.Equals(t, 0, bkt.Stats().Requests)
	testutil.Equals(t, record(id), readRecord(t, dir))
}

// No more is read of a record than one can hold.
func TestRecordIsHuge(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	id := put(t, dir, spec{n: 1, at: 0})
	path := filepath.Join(dir, shipper.DefaultMetaFileName)
	testutil.Ok(t, os.WriteFile(path, []byte(`{"version":1,"uploaded":["`+id.String()+`"]}`), 0o600))
	testutil.Ok(t, os.Truncate(path, 1<<40)) // sparse
	res, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
	testutil.Assert(t, len(res.Warnings) == 1 && strings.Contains(res.Warnings[0].Error(), "more than 16777216 bytes"), "%v", res.Warnings)
	testutil.Equals(t, record(id), readRecord(t, dir))
}

// The record is there before anything is sent: a Prometheus that delays
// compaction by it takes all blocks for sent if there is none.
func TestRecordComesFirst(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"none": "", "corrupt": "{"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
			put(t, dir, spec{n: 1, at: 0})
			if text != "" {
				testutil.Ok(t, os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), []byte(text), 0o600))
			}
			bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
			_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
			testutil.NotOk(t, err)
			testutil.Equals(t, record(), readRecord(t, dir))
		})
	}
}

// The record names a block before the next one is sent, which may take long:
// Prometheus may wait for it.
func TestRecordAfterEachBlock(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	first, second := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})
	seen := ""
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload && strings.HasPrefix(r.Name, second.String()) {
			seen = readRecord(t, dir)
		}
		return nil
	})
	_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, record(first), seen)
}

// What another shipper adds to the record meanwhile, such as a Thanos sidecar,
// is kept.
func TestRecordOfAnother(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	first, second := put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2, level: 2})
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op != objstore.OpUpload {
			return nil
		}
		return os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), []byte(record(second)), 0o600)
	})
	_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, record(first, second), readRecord(t, dir))
}

// Other names of the record are other shippers, such as for another bucket.
func TestRecordNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := put(t, dir, spec{n: 1, at: 0})
	for _, name := range []string{"thanos.shipper.json", "second.json"} {
		bkt := objstore.NewInMemBucket()
		res, err := newShipper(t, bkt, dir, shipper.Options{MetaFileName: name}).Sync(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
		b, err := os.ReadFile(filepath.Join(dir, name))
		testutil.Ok(t, err)
		testutil.Equals(t, record(id), string(b))
	}
}

// The record may hold anything: a Sync does not fail or panic of it, and writes
// one that holds what is local.
func FuzzRecord(f *testing.F) {
	f.Add(`{"version":1,"uploaded":["` + newID(1).String() + `"]}`)
	f.Add(`{"version":1,"uploaded":null}`)
	f.Add(`{"version":1e400}`)
	dir := f.TempDir()
	put(f, dir, spec{n: 1, at: 0, empty: true}) // never sent
	f.Fuzz(func(t *testing.T, text string) {
		testutil.Ok(t, os.WriteFile(filepath.Join(dir, shipper.DefaultMetaFileName), []byte(text), 0o600))
		_, err := newShipper(t, objstore.NewInMemBucket(), dir, shipper.Options{}).Sync(t.Context())
		testutil.Ok(t, err)
		var got struct {
			Version  int
			Uploaded []ulid.ULID
		}
		testutil.Ok(t, json.Unmarshal([]byte(readRecord(t, dir)), &got))
		testutil.Equals(t, 1, got.Version)
		testutil.Assert(t, len(got.Uploaded) <= 1)
	})
}
