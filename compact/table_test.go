package compact_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		testutil.Ok(t, os.MkdirAll("testdata", 0o750))
		testutil.Ok(t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	testutil.Ok(t, err)
	testutil.Equals(t, string(want), string(got))
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	b := newBucket(start)
	b.fill(0, 2*day, 8*hour)
	b.fill(2*day, 10*day, 4*day)
	x := b.add(30*day, 32*day, withLabels("cluster", "a", "replica", "0"))
	b.add(30*day, 32*day, withLabels("cluster", "a", "replica", "1"))
	b.add(30*day, 32*day, withSources(block.FiveMinutes, x))
	b.add(33*day, 33*day+2*hour)
	b.mark(b.add(33*day+2*hour, 33*day+4*hour), block.NoCompactMark, block.ReasonManual)
	b.mark(b.add(0, 8*hour, withLabels("cluster", "b")), block.NoDownsampleMark, compact.ReasonCorrupt)
	b.mark(b.add(0, 8*hour, withLabels("cluster", "c")), block.DeletionMark, "")
	replaced := b.add(0, 2*hour, withLabels("cluster", "d"))
	b.add(0, 4*hour, withLabels("cluster", "d"), withSources(block.Raw, replaced, b.id()))
	for at := time.Duration(0); at < 10*hour; at += 2 * hour {
		b.add(30*day+at, 30*day+at+2*hour, withLabels("cluster", "e"))
	}
	b.now = start.Add(34 * day)
	s := b.state()
	s.Partials = []compact.Partial{
		{Block: b.id(), Err: block.ErrPartial, Newest: b.now.Add(-72 * hour)},
		{Block: b.id(), Err: block.ErrPartial, Newest: b.now.Add(-2 * hour)},
		{Block: b.id(), Err: errors.New("block 01: meta.json is corrupt:\nunexpected end of JSON input" + strings.Repeat(" and so on", 30))},
	}
	for name, o := range map[string]*compact.Options{
		"plan.txt":       {ReplicaLabels: []string{"replica"}, Retention: compact.Retention{Raw: 25 * day}, MaxHold: 100 * day},
		"plan_shard.txt": {ReplicaLabels: []string{"replica"}, Shards: 2, Shard: 1},
	} {
		p, err := compact.MakePlan(s, o)
		testutil.Ok(t, err)
		var out bytes.Buffer
		testutil.Ok(t, p.WriteTable(&out))
		golden(t, name, out.Bytes())
	}

	var out bytes.Buffer
	testutil.Ok(t, new(compact.Plan).WriteTable(&out))
	testutil.Equals(t, "Until nothing is left to do: 0 compactions of 0 blocks, 0 downsampled blocks made. 0 blocks past retention.\n", out.String())
	p, err := compact.MakePlan(s, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, errFull, p.WriteTable(full{}))
}

var errFull = errors.New("full")

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
