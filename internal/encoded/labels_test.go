package encoded_test

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// randomLabels draws from few names and values, so that prefixes, equal sets
// and differences in each place are common.
func randomLabels(r *rand.Rand) labels.Labels {
	b := labels.NewScratchBuilder(4)
	for _, n := range []string{"A", "__name__", "cluster", "härte", "job", strings.Repeat("n", 130), "z"} {
		if r.Intn(2) == 0 {
			b.Add(n, []string{"", "a", "ab", "b", "\xff", strings.Repeat("v", 1+r.Intn(300))}[r.Intn(6)])
		}
	}
	return b.Labels()
}

func sign(x int) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}

func TestLabelsRoundTripAndOrder(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	sb := labels.NewScratchBuilder(0)
	for i := range 20_000 {
		x, y := randomLabels(r), randomLabels(r)
		if i%4 == 0 {
			y = x
		}
		ex, ey := encoded.AppendLabels(nil, x), encoded.AppendLabels(nil, y)
		testutil.Ok(t, encoded.CheckLabels(ex))
		testutil.Equals(t, x.String(), encoded.Labels(ex, &sb).String())
		if want, got := sign(labels.Compare(x, y)), sign(encoded.CompareLabels(ex, ey)); want != got {
			t.Fatalf("compare %v with %v: got %d, want %d", x, y, got, want)
		}
		testutil.Equals(t, labels.Equal(x, y), string(ex) == string(ey))
	}
}

func TestLabelsShareNoMemory(t *testing.T) {
	b := encoded.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "node"))
	sb := labels.NewScratchBuilder(0)
	got := encoded.Labels(b, &sb)
	clear(b)
	testutil.Equals(t, `{__name__="up", job="node"}`, got.String())
}

func TestEachAndFirst(t *testing.T) {
	b := encoded.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "node", "z", ""))
	var got []string
	encoded.Each(b, func(n, v []byte) bool {
		got = append(got, fmt.Sprintf("%s=%s", n, v))
		return len(got) < 2
	})
	testutil.Equals(t, []string{"__name__=up", "job=node"}, got)
	entry, name := encoded.First(b)
	testutil.Equals(t, "__name__", string(name))
	testutil.Equals(t, string(encoded.AppendLabel(nil, "__name__", "up")), string(entry))
	entry, name = encoded.First(nil)
	testutil.Equals(t, 0, len(entry)+len(name))
}

func TestCheckLabelsRejects(t *testing.T) {
	good := encoded.AppendLabel(nil, "a", "b")
	for name, b := range map[string][]byte{
		"wrong tag":             {0x12, 0x00},
		"truncated":             good[:len(good)-1],
		"only a tag":            {0x0a},
		"empty entry":           {0x0a, 0x00},
		"value missing":         {0x0a, 0x03, 0x0a, 0x01, 'a'},
		"fields swapped":        {0x0a, 0x06, 0x12, 0x01, 'b', 0x0a, 0x01, 'a'},
		"trailing field":        {0x0a, 0x08, 0x0a, 0x01, 'a', 0x12, 0x01, 'b', 0x18, 0x01},
		"long varint":           {0x0a, 0x86, 0x00, 0x0a, 0x01, 'a', 0x12, 0x01, 'b'},
		"length overflows":      {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"name leaves the entry": {0x0a, 0x04, 0x0a, 0x7f, 'a', 0x12, 0x01, 'b'},
		"unsorted":              encoded.AppendLabel(encoded.AppendLabel(nil, "b", ""), "a", ""),
		"duplicate name":        encoded.AppendLabel(encoded.AppendLabel(nil, "a", "1"), "a", "2"),
	} {
		err := encoded.CheckLabels(b)
		testutil.Assert(t, errors.Is(err, encoded.ErrLabels), "%s: %v", name, err)
	}
}

func TestRewriteEqualsBuilder(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	sb := labels.NewScratchBuilder(0)
	names := []string{"A", "__name__", "cluster", "job", "k", "z", "zz"}
	for range 20_000 {
		lset := randomLabels(r).WithoutEmpty()
		var set []string
		var drop []string
		for _, n := range names {
			switch r.Intn(4) {
			case 0:
				set = append(set, n, "S"+n)
			case 1:
				drop = append(drop, n)
			}
		}
		if r.Intn(5) == 0 && len(set) > 0 {
			drop = append(drop, set[0])
		}
		rw := encoded.NewRewrite(labels.FromStrings(set...), drop)
		b := labels.NewBuilder(lset)
		for i := 0; i < len(set); i += 2 {
			b.Set(set[i], set[i+1])
		}
		b.Del(drop...)
		got := rw.Append(nil, encoded.AppendLabels(nil, lset))
		testutil.Ok(t, encoded.CheckLabels(got))
		testutil.Equals(t, b.Labels().String(), encoded.Labels(got, &sb).String())
	}
	var zero encoded.Rewrite
	testutil.Assert(t, zero.IsZero())
	testutil.Equals(t, "", zero.FirstName())
	rw := encoded.NewRewrite(labels.FromStrings("b", "1"), []string{"c", "a"})
	testutil.Equals(t, "a", rw.FirstName())
}

func FuzzCheckLabels(f *testing.F) {
	f.Add(encoded.AppendLabels(nil, labels.FromStrings("__name__", "up", "job", "node")))
	f.Add([]byte{0x0a, 0x86, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		if encoded.CheckLabels(b) != nil {
			return
		}
		sb := labels.NewScratchBuilder(0)
		if got := encoded.AppendLabels(nil, encoded.Labels(b, &sb)); string(got) != string(b) {
			t.Fatalf("accepted %x, which decodes and encodes to %x", b, got)
		}
	})
}

func BenchmarkCompareLabels(b *testing.B) {
	mk := func(pod string) []byte {
		return encoded.AppendLabels(nil, labels.FromStrings("__name__", "http_requests_total", "cluster", "prod-eu-west-1", "container", "api-server",
			"instance", "10.0.0.1:9090", "job", "kubernetes-pods", "namespace", "team-001", "pod", pod))
	}
	x, y := mk("api-server-7c9f6b7d5-00001"), mk("api-server-7c9f6b7d5-00002")
	b.ReportAllocs()
	for b.Loop() {
		if encoded.CompareLabels(x, y) >= 0 {
			b.Fatal("order")
		}
	}
}
