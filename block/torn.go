package block

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/thanos-io/objstore"
)

// TornUpload reports whether an error of FetchMeta or ReadMark is that of an object
// whose upload to the bucket has not ended, and if it is old never will. Only a
// filesystem has such, where a file is there before its first byte is: there a torn
// meta.json or mark is none, to Fetcher as well. In other buckets an object is there
// as a whole or not at all, and one that ends early has been damaged since. A bucket
// that does not say its Provider counts as one of these.
func TornUpload(bkt objstore.BucketReader, err error) bool {
	if !errors.Is(err, ErrTorn) {
		return false
	}
	b, ok := bkt.(interface{ Provider() objstore.ObjProvider })
	return ok && b.Provider() == objstore.FILESYSTEM
}

// unmarshal is json.Unmarshal, whose error is an ErrTorn if there is less than a
// whole value, or zeros in place of what never reached a disk.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if _, ok := errors.AsType[*json.SyntaxError](err); !ok {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimRight(data, "\x00")))
	if early := d.Decode(&json.RawMessage{}); errors.Is(early, io.EOF) || errors.Is(early, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrTorn, err)
	}
	return err
}
