package indexheader

import "github.com/thanoskit/thanoskit/block"

// WithStep returns options with a function that is called before each step that
// leaves something behind.
func (o Options) WithStep(step func(string) error) *Options {
	o.step = step
	return &o
}

// Path returns where the file is.
func (l *Lazy) Path() string { return l.path() }

// Parse checks the bytes of a local file.
var Parse = parse

// Encode encodes what was read of an index: its beginning up to the series, its
// table of postings, and its end.
func Encode(head, table, end []byte, size int64) ([]byte, error) {
	t, err := parseTOC(end, size)
	if err != nil {
		return nil, err
	}
	if int(t.symbols) > len(head) {
		return nil, errShort
	}
	r := remote{size: size, toc: t, head: head, table: table}
	pieces, err := r.encode()
	var out []byte
	for _, p := range pieces {
		out = append(out, p...)
	}
	return out, err
}

// TmpSuffix is that of a file that is being written.
const TmpSuffix = tmpSuffix

// ErrFile is what is wrong with a local file.
var ErrFile = errFile

// Meta returns the block's.
func (l *Lazy) Meta() *block.Meta { return l.meta }
