package block_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// minimal is the least that is a meta.json.
const minimal = `{"ulid":"01EMS4F6G00000000000000001","minTime":1,"maxTime":2,"version":1}`

// full has every field.
const full = `{
	"ulid": "01EMS4F6G00000000000000001",
	"minTime": -5,
	"maxTime": 7200000,
	"stats": {
		"numSamples": 18446744073709551615,
		"numFloatSamples": 4,
		"numHistogramSamples": 5,
		"numSeries": 2,
		"numChunks": 3,
		"numTombstones": 1
	},
	"compaction": {
		"level": 2,
		"sources": [
			"01EMS4F6G00000000000000002",
			"01EMS4F6G00000000000000003"
		],
		"deletable": true,
		"parents": [
			{
				"ulid": "01EMS4F6G00000000000000002",
				"minTime": -5,
				"maxTime": 3600000
			}
		],
		"failed": true,
		"hints": [
			"from-out-of-order"
		]
	},
	"version": 1,
	"thanos": {
		"version": 1,
		"labels": {
			"a": "\u003c1\u003e",
			"ü": "2"
		},
		"downsample": {
			"resolution": 300000
		},
		"source": "compactor",
		"segment_files": [
			"000001"
		],
		"files": [
			{
				"rel_path": "chunks/000001",
				"size_bytes": 10,
				"hash": {
					"hashFunc": "SHA256",
					"value": "ab"
				}
			},
			{
				"rel_path": "index",
				"size_bytes": 401
			},
			{
				"rel_path": "meta.json"
			}
		],
		"rewrites": [
			{
				"sources": [
					"01EMS4F6G00000000000000009"
				],
				"deletions_applied": [
					{
						"matchers": [
							{
								"Type": 2,
								"Name": "job",
								"Value": "x.*"
							}
						],
						"intervals": [
							{
								"Mint": 1,
								"Maxt": 9
							}
						],
						"request_id": "r"
					}
				],
				"relabels_applied": [
					{
						"source_labels": [
							"a"
						],
						"separator": ";",
						"regex": "b.*",
						"action": "drop"
					}
				]
			}
		],
		"index_stats": {
			"series_max_size": 100,
			"chunk_max_size": 200
		},
		"extensions": {
			"z": 1.50,
			"a": [
				{}
			]
		},
		"upload_time": "2026-01-02T03:04:05.678901234Z"
	}
}
`

func TestMetaRoundTrip(t *testing.T) {
	t.Parallel()
	m, err := block.ParseMeta([]byte(full))
	testutil.Ok(t, err)
	b, err := m.Encode()
	testutil.Ok(t, err)
	testutil.Equals(t, full, string(b))
	testutil.Equals(t, labels.FromStrings("a", "<1>", "ü", "2"), m.Labels())
	testutil.Equals(t, block.FiveMinutes, m.Resolution())
	testutil.Equals(t, `01EMS4F6G00000000000000001 [-5, 7200000) 5m level 2`, m.String())
	testutil.Equals(t, `job=~"x.*"`, m.Thanos.Rewrites[0].DeletionsApplied[0].Matchers[0].String())
}

func TestMetaZero(t *testing.T) {
	t.Parallel()
	m, err := block.ParseMeta([]byte(minimal))
	testutil.Ok(t, err)
	b, err := m.Encode()
	testutil.Ok(t, err)
	testutil.Equals(t, `{
	"ulid": "01EMS4F6G00000000000000001",
	"minTime": 1,
	"maxTime": 2,
	"stats": {},
	"compaction": {
		"level": 0
	},
	"version": 1,
	"thanos": {
		"labels": {},
		"downsample": {
			"resolution": 0
		},
		"source": "",
		"index_stats": {},
		"upload_time": "0001-01-01T00:00:00Z"
	}
}
`, string(b))
	testutil.Assert(t, m.Labels().IsEmpty())
	testutil.Equals(t, int64(0), m.IndexSize())
}

func TestMetaExtensions(t *testing.T) {
	t.Parallel()
	for _, null := range []string{`,"thanos":{"extensions":null}}`, `}`} {
		m, err := block.ParseMeta([]byte(strings.TrimSuffix(minimal, "}") + null))
		testutil.Ok(t, err)
		testutil.Assert(t, m.Thanos.Extensions == nil, "%q", m.Thanos.Extensions)
	}
	m := newMeta(1, func(m *block.Meta) { m.Thanos.Extensions = json.RawMessage(`{`) })
	_, err := m.Encode()
	testutil.NotOk(t, err)
	m = newMeta(1, func(m *block.Meta) { m.Thanos.UploadTime = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) })
	_, err = m.Encode()
	testutil.NotOk(t, err)
}

func TestMetaHostile(t *testing.T) {
	t.Parallel()
	of := func(thanos string) string { return strings.TrimSuffix(minimal, "}") + `,"thanos":{` + thanos + `}}` }
	id := ulid.MustParse("01EMS4F6G00000000000000001")
	for _, tc := range []struct {
		name, in, field string
	}{
		{"empty", ``, ""},
		{"torn", minimal[:20], ""},
		{"two", minimal + minimal, ""},
		{"list", `[]`, ""},
		{"no ulid", `{"version":1}`, "ulid"},
		{"bad ulid", `{"ulid":"x","version":1}`, ""},
		{"huge time", strings.Replace(minimal, `"maxTime":2`, `"maxTime":9223372036854775808`, 1), "maxTime"},
		{"fraction", strings.Replace(minimal, `"maxTime":2`, `"maxTime":2.5`, 1), "maxTime"},
		{"reversed", strings.Replace(minimal, `"maxTime":2`, `"maxTime":0`, 1), "minTime"},
		{"negative samples", strings.TrimSuffix(minimal, "}") + `,"stats":{"numSamples":-1}}`, "stats.numSamples"},
		{"negative level", strings.TrimSuffix(minimal, "}") + `,"compaction":{"level":-1}}`, "compaction.level"},
		{"bad source", strings.TrimSuffix(minimal, "}") + `,"compaction":{"sources":["?"]}}`, ""},
		{"labels of another kind", of(`"labels":{"a":1}`), "thanos.labels"},
		{"label without name", of(`"labels":{"":"x"}`), "thanos.labels"},
		{"negative resolution", of(`"downsample":{"resolution":-1}`), "thanos.downsample.resolution"},
		{"negative series", of(`"index_stats":{"series_max_size":-1}`), "thanos.index_stats.series_max_size"},
		{"negative chunk", of(`"index_stats":{"chunk_max_size":-1}`), "thanos.index_stats.chunk_max_size"},
		{"negative size", of(`"files":[{"rel_path":"index","size_bytes":-1}]`), "thanos.files[0].size_bytes"},
		{"file twice", of(`"files":[{"rel_path":"index"},{"rel_path":"index"}]`), "thanos.files[1].rel_path"},
		{"file without name", of(`"files":[{"rel_path":""}]`), "thanos.files[0].rel_path"},
		{"file upwards", of(`"files":[{"rel_path":"../x"}]`), "thanos.files[0].rel_path"},
		{"file upwards within", of(`"files":[{"rel_path":"chunks/../../x"}]`), "thanos.files[0].rel_path"},
		{"file not clean", of(`"files":[{"rel_path":"chunks//1"}]`), "thanos.files[0].rel_path"},
		{"file absolute", of(`"files":[{"rel_path":"/etc/passwd"}]`), "thanos.files[0].rel_path"},
		{"file backwards", of(`"files":[{"rel_path":"..\\x"}]`), "thanos.files[0].rel_path"},
		{"file with nul", of(`"files":[{"rel_path":"a\u0000"}]`), "thanos.files[0].rel_path"},
		{"file is directory", of(`"files":[{"rel_path":"."}]`), "thanos.files[0].rel_path"},
		{"segment upwards", of(`"segment_files":["000001","../../x"]`), "thanos.segment_files[1]"},
		{"segment below", of(`"segment_files":["a/b"]`), "thanos.segment_files[0]"},
		{"segment twice", of(`"segment_files":["000001","000002","000001"]`), "thanos.segment_files[2]"},
		{"segment absolute", of(`"segment_files":["/x"]`), "thanos.segment_files[0]"},
		{"bad time", of(`"upload_time":"yesterday"`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := block.ParseMeta([]byte(tc.in))
			metaErr, ok := errors.AsType[*block.MetaError](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, tc.field, metaErr.Field)
			testutil.Equals(t, block.MetaFile, metaErr.File)
			testutil.Assert(t, errors.Is(err, block.ErrCorrupt) && metaErr.Err != nil)
			if tc.field != "" && tc.field != "ulid" {
				testutil.Equals(t, id, metaErr.Block)
				testutil.Assert(t, strings.HasPrefix(err.Error(), "block "+id.String()+": meta.json is corrupt: "+tc.field+": "), "%v", err)
			}
		})
	}
}

func TestMetaVersions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, what string }{
		{strings.Replace(minimal, `"version":1`, `"version":2`, 1), "version 2"},
		{strings.Replace(minimal, `"version":1`, `"version":-1`, 1), "version -1"},
		{strings.TrimSuffix(minimal, "}") + `,"thanos":{"version":2}}`, "thanos.version 2"},
	} {
		_, err := block.ParseMeta([]byte(tc.in))
		unsupported, ok := errors.AsType[*block.UnsupportedError](err)
		testutil.Assert(t, ok, "%v", err)
		testutil.Assert(t, errors.Is(err, block.ErrUnsupported) && !errors.Is(err, block.ErrCorrupt))
		testutil.Equals(t, tc.what, unsupported.What)
		testutil.Equals(t, "block 01EMS4F6G00000000000000001: meta.json: "+tc.what+" not supported", err.Error())
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	file := func(name string, size int64) block.File { return block.File{RelPath: name, SizeBytes: size} }
	for _, tc := range []struct {
		name     string
		segments []string
		files    []block.File
		want     []block.File
	}{
		{name: "nothing known"},
		{name: "old", segments: []string{"000002", "000001"}, want: []block.File{file("chunks/000002", 0), file("chunks/000001", 0)}},
		{
			name:  "usual",
			files: []block.File{file("chunks/000002", 7), file("chunks/000001", 5), file("index", 3)},
			want:  []block.File{file("chunks/000001", 5), file("chunks/000002", 7)},
		},
		{
			name:     "both: the order of the one, the sizes of the other",
			segments: []string{"000002", "000009", "000001"},
			files:    []block.File{file("chunks/000001", 5), file("chunks/000002", 7), file("index", 3)},
			want:     []block.File{file("chunks/000002", 7), file("chunks/000009", 0), file("chunks/000001", 5)},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newMeta(1, func(m *block.Meta) { m.Thanos.SegmentFiles, m.Thanos.Files = tc.segments, tc.files })
			testutil.Equals(t, tc.want, m.Segments())
			for i, want := range tc.want {
				got, ok := m.SegmentFile(i)
				testutil.Assert(t, ok)
				testutil.Equals(t, want, got)
			}
			beyond, ok := m.SegmentFile(len(tc.want))
			testutil.Equals(t, tc.want == nil, ok)
			if ok {
				testutil.Equals(t, "chunks/000001", beyond.RelPath)
			}
			_, ok = m.SegmentFile(-1)
			testutil.Assert(t, !ok)
		})
	}
}

func TestReadMeta(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, blockDir := newBlock(t, dir, 1)
	got, err := block.ReadMeta(blockDir)
	testutil.Ok(t, err)
	testutil.Equals(t, "", cmp.Diff(m, got))

	_, err = block.ReadMeta(dir)
	testutil.Assert(t, errors.Is(err, block.ErrNotFound) && errors.Is(err, os.ErrNotExist), "%v", err)

	// Named by nothing, any ULID is right; named by another one, it is not.
	other := filepath.Join(dir, newID(2).String())
	testutil.Ok(t, os.Rename(blockDir, filepath.Join(dir, "x")))
	_, err = block.ReadMeta(filepath.Join(dir, "x"))
	testutil.Ok(t, err)
	testutil.Ok(t, os.Rename(filepath.Join(dir, "x"), other))
	_, err = block.ReadMeta(other)
	metaErr, ok := errors.AsType[*block.MetaError](err)
	testutil.Assert(t, ok, "%v", err)
	testutil.Equals(t, "ulid", metaErr.Field)
	testutil.Equals(t, newID(2), metaErr.Block)

	testutil.Equals(t, []string{"chunks", "index", "meta.json"}, names(t, other))
	testutil.NotOk(t, block.WriteMeta(filepath.Join(other, "index"), m))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestFetchMeta(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	m := newMeta(1)
	name := block.ObjectName(m.ULID, block.MetaFile)

	_, err := block.FetchMeta(ctx, bkt, m.ULID)
	testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
	testutil.Assert(t, strings.HasPrefix(err.Error(), "get "+name+": "), "%v", err)

	putMeta(t, bkt, m)
	got, err := block.FetchMeta(ctx, bkt, m.ULID)
	testutil.Ok(t, err)
	testutil.Equals(t, "", cmp.Diff(m, got))

	// A connection that ends early is not a file that is corrupt.
	bkt.Body(blocktest.Truncated(50))
	_, err = block.FetchMeta(ctx, bkt, m.ULID)
	testutil.Assert(t, err != nil && !errors.Is(err, block.ErrCorrupt), "%v", err)
	bkt.Body(nil)

	bkt.Fail(blocktest.Deny(nil))
	_, err = block.FetchMeta(ctx, bkt, m.ULID)
	testutil.Assert(t, errors.Is(err, blocktest.ErrAccessDenied) && !errors.Is(err, block.ErrNotFound), "%v", err)
	bkt.Fail(nil)

	for name, content := range map[string]string{
		"another block's": strings.Replace(minimal, "000001", "000002", 1),
		"too large":       strings.Repeat(" ", 17<<20),
	} {
		id := ulid.MustParse("01EMS4F6G00000000000000001")
		put(t, bkt, block.ObjectName(id, block.MetaFile), content)
		_, err = block.FetchMeta(ctx, bkt, id)
		metaErr, ok := errors.AsType[*block.MetaError](err)
		testutil.Assert(t, ok, "%s: %v", name, err)
		testutil.Equals(t, id, metaErr.Block)
	}
	putMeta(t, bkt, m)
	put(t, bkt, name, strings.Replace(object(t, bkt, name), `"version": 1,`, `"version": 7,`, 1))
	_, err = block.FetchMeta(ctx, bkt, m.ULID)
	unsupported, ok := errors.AsType[*block.UnsupportedError](err)
	testutil.Assert(t, ok && unsupported.Block == m.ULID, "%v", err)
	testutil.Equals(t, 0, bkt.OpenBodies())
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"01EMS4F6G00000000000000001":                 true,
		"01EMS4F6G00000000000000001/":                true,
		"01EMS4F6G00000000000000001/chunks/000001":   true,
		"01EMS4F6G0000000000000000":                  false,
		"01EMS4F6G00000000000000001x":                false,
		"01EMS4F6G0000000000000000U":                 false,
		"01ems4f6g00000000000000001":                 false,
		"8ZZZZZZZZZZZZZZZZZZZZZZZZZ":                 false,
		"debug/01EMS4F6G00000000000000001/meta.json": false,
		"": false, "/": false,
	} {
		id, ok := block.ParseID(in)
		testutil.Equals(t, want, ok, in)
		if ok {
			testutil.Equals(t, newID(1), id)
		}
	}
}

func TestResolution(t *testing.T) {
	t.Parallel()
	for r, want := range map[block.Resolution]string{block.Raw: "raw", block.FiveMinutes: "5m", block.OneHour: "1h", 90_000: "1m30s"} {
		testutil.Equals(t, want, r.String())
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(minimal))
	f.Add([]byte(`{"ulid":"01EMS4F6G00000000000000001","version":1,"thanos":{"files":[{"rel_path":"../../x","size_bytes":-9}]}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := block.ParseMeta(in)
		if err != nil {
			if !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrUnsupported) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		for _, s := range append(m.Segments(), m.Thanos.Files...) {
			if !filepath.IsLocal(s.RelPath) {
				t.Fatalf("%q leads out of the block", s.RelPath)
			}
		}
		_ = m.Labels()
		b, err := m.Encode()
		testutil.Ok(t, err)
		again, err := block.ParseMeta(b)
		testutil.Ok(t, err)
		twice, err := again.Encode()
		testutil.Ok(t, err)
		testutil.Equals(t, string(b), string(twice))
	})
}

func TestMetaClone(t *testing.T) {
	t.Parallel()
	m, err := block.ParseMeta([]byte(full))
	testutil.Ok(t, err)
	c := m.Clone()
	testutil.Equals(t, "", cmp.Diff(encoded(t, m), encoded(t, c)))
	before := encoded(t, m)
	c.Compaction.Sources[0], c.Compaction.Parents[0].MinTime, c.Compaction.Hints[0] = newID(77), 77, "x"
	c.Thanos.Labels["a"], c.Thanos.SegmentFiles[0], c.Thanos.Extensions[1] = "x", "x", ' '
	c.Thanos.Files[0].SizeBytes, c.Thanos.Files[0].Hash.Value = 77, "x"
	r := &c.Thanos.Rewrites[0]
	r.Sources[0], r.RelabelsApplied[0] = newID(77), nil
	r.DeletionsApplied[0].RequestID, r.DeletionsApplied[0].Matchers[0].Name, r.DeletionsApplied[0].Intervals[0].Mint = "x", "x", 77
	testutil.Equals(t, "", cmp.Diff(before, encoded(t, m)))
}

func encoded(t *testing.T, m *block.Meta) string {
	t.Helper()
	b, err := m.Encode()
	testutil.Ok(t, err)
	return string(b)
}
