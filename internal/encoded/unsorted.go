package encoded

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Pair is a label that is not encoded yet.
type Pair[S string | []byte] struct{ Name, Value S }

var (
	errUnnamed   = errors.New("label without a name")
	errDuplicate = errors.New("label occurs twice")
)

// AppendUnsorted appends labels in canonical form to dst, in whichever order
// they come; it sorts pairs. Labels without a value are left out: they are no
// labels.
//
// Errors: a label that has a value has no name, or the name of another.
func AppendUnsorted[S string | []byte](dst []byte, pairs []Pair[S]) ([]byte, error) {
	slices.SortFunc(pairs, func(a, b Pair[S]) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	for i, p := range pairs {
		switch {
		case len(p.Value) == 0:
			continue
		case len(p.Name) == 0:
			return nil, errUnnamed
		case i > 0 && string(pairs[i-1].Name) == string(p.Name):
			return nil, fmt.Errorf("%w: %q", errDuplicate, string(p.Name))
		}
		dst = AppendLabel(dst, p.Name, p.Value)
	}
	return dst, nil
}
