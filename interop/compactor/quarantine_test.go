package compactor

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// damage flips a bit in a chunk of the first block of a bucket.
func (b *bucket) damage(t testing.TB) ulid.ULID {
	t.Helper()
	metas := b.all(t)
	m := slices.MinFunc(metas, func(a, b *block.Meta) int { return a.ULID.Compare(b.ULID) })
	name := block.ObjectName(m.ULID, m.Segments()[0].RelPath)
	r, err := b.Get(t.Context(), name)
	testutil.Ok(t, err)
	data, err := io.ReadAll(r)
	testutil.Ok(t, err)
	testutil.Ok(t, r.Close())
	data[len(data)/2] ^= 0x10
	testutil.Ok(t, b.Upload(t.Context(), name, bytes.NewReader(data)))
	return m.ULID
}

// all returns all blocks of a bucket.
func (b *bucket) all(t testing.TB) (all []*block.Meta) {
	t.Helper()
	for _, m := range b.view(t).Metas {
		all = append(all, m)
	}
	return all
}

// A block that cannot be downsampled, and halts Thanos' compactor, is marked, and
// both go round it from then on: others are downsampled, and none is lost.
func TestQuarantineOfDownsampling(t *testing.T) {
	t.Parallel()
	b := newBucket(t, "filesystem")
	b.uploadBlock(t, t.TempDir(), b.begin, b.begin+48*hour, 0, "a", "a")
	id := b.damage(t)
	b.uploadBlock(t, t.TempDir(), b.begin, b.begin+48*hour, 0, "b", "a")
	control := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), append([]string{"compact", "--http-address=" + proc.FreeAddr(t)}, b.args("thanos", t.TempDir())...)...)
	out, err := control.CombinedOutput()
	testutil.NotOk(t, err)
	testutil.Assert(t, strings.Contains(string(out), id.String()), "%s", out)

	cmd := exec.CommandContext(t.Context(), examples.Binary(t, "compactor"), append(b.args("ours", t.TempDir()), "--http-address="+proc.FreeAddr(t))...)
	out, err = cmd.CombinedOutput()
	testutil.Ok(t, err)
	testutil.Assert(t, strings.Contains(string(out), "quarantined=1"), "%s", out)
	mark, err := block.ReadMark(t.Context(), b, id, block.NoDownsampleMark)
	testutil.Ok(t, err)
	testutil.Equals(t, "block-corrupt", mark.Reason)
	b.compact(t, "thanos", t.TempDir())
	raw, downsampled := map[string]int{}, map[string]int{}
	for _, m := range b.all(t) {
		if m.Resolution() == block.Raw {
			raw[m.Thanos.Labels["cluster"]]++
		} else {
			downsampled[m.Thanos.Labels["cluster"]]++
		}
	}
	testutil.Equals(t, map[string]int{"a": 1, "b": 1}, raw)
	testutil.Equals(t, map[string]int{"b": 1}, downsampled)
}

// A damaged block halts Thanos' compactor. Ours marks it and goes round it, and
// then so does Thanos'.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	b := newBucket(t, "filesystem")
	for range 2 {
		b.upload(t)
	}
	id := b.damage(t)
	control := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), append([]string{"compact", "--http-address=" + proc.FreeAddr(t)}, b.args("thanos", t.TempDir())...)...)
	out, err := control.CombinedOutput()
	testutil.NotOk(t, err)
	testutil.Assert(t, strings.Contains(string(out), id.String()), "%s", out)

	cmd := exec.CommandContext(t.Context(), examples.Binary(t, "compactor"), append(b.args("ours", t.TempDir()), "--http-address="+proc.FreeAddr(t))...)
	out, err = cmd.CombinedOutput()
	testutil.Ok(t, err)
	testutil.Assert(t, strings.Contains(string(out), "quarantined=1"), "%s", out)
	mark, err := block.ReadMark(t.Context(), b, id, block.NoCompactMark)
	testutil.Ok(t, err)
	testutil.Assert(t, strings.Contains(mark.Details, "corrupt chunk"), "%+v", mark)

	dir := t.TempDir()
	for range 3 {
		b.upload(t)
		b.compact(t, "thanos", dir)
	}
	left, err := filepath.Glob(filepath.Join(dir, "compact", "*"))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(left), "Thanos has not come to its end")
	testutil.Assert(t, slices.ContainsFunc(b.all(t), func(m *block.Meta) bool { return m.ULID == id }), "block %s is gone", id)
}
