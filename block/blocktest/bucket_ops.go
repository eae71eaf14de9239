package blocktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/thanos-io/objstore"
)

// Provider returns the inner bucket's.
func (b *Bucket) Provider() objstore.ObjProvider { return b.inner.Provider() }

// Name returns the inner bucket's.
func (b *Bucket) Name() string { return b.inner.Name() }

// Close closes the inner bucket.
func (b *Bucket) Close() error { return b.inner.Close() }

// IsObjNotFoundErr knows [ErrHidden] besides what the inner bucket knows.
func (b *Bucket) IsObjNotFoundErr(err error) bool {
	return errors.Is(err, ErrHidden) || b.inner.IsObjNotFoundErr(err)
}

// IsAccessDeniedErr knows [ErrAccessDenied] besides what the inner bucket knows.
func (b *Bucket) IsAccessDeniedErr(err error) bool {
	return errors.Is(err, ErrAccessDenied) || b.inner.IsAccessDeniedErr(err)
}

// SupportedIterOptions returns the inner bucket's.
func (b *Bucket) SupportedIterOptions() []objstore.IterOptionType {
	return b.inner.SupportedIterOptions()
}

// Iter lists names as the inner bucket does, page by page.
func (b *Bucket) Iter(ctx context.Context, dir string, f func(name string) error, options ...objstore.IterOption) error {
	return list(ctx, b, dir, f, func(collect func(string) error) error {
		return b.inner.Iter(ctx, dir, collect, options...)
	})
}

// IterWithAttributes lists entries as the inner bucket does, page by page.
func (b *Bucket) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, options ...objstore.IterOption) error {
	return list(ctx, b, dir, f, func(collect func(objstore.IterObjectAttributes) error) error {
		return b.inner.IterWithAttributes(ctx, dir, collect, options...)
	})
}

// list makes one request for each page of what inner lists.
func list[E any](ctx context.Context, b *Bucket, dir string, f func(E) error, inner func(func(E) error) error) error {
	var entries []E
	for first := true; first || len(entries) > 0; first = false {
		c, err := b.begin(ctx, Request{Op: objstore.OpIter, Name: dir, Length: -1})
		if err != nil {
			return err
		}
		if first {
			err = inner(func(e E) error {
				entries = append(entries, e)
				return nil
			})
		}
		page := entries[:min(len(entries), listPage)]
		c.count(OpStats{Entries: len(page)})
		if err := c.end(err); err != nil {
			return err
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
		}
		entries = entries[len(page):]
	}
	return nil
}

// Get returns the body of an object.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.get(ctx, Request{Op: objstore.OpGet, Name: name, Length: -1}, func() (io.ReadCloser, error) {
		return b.inner.Get(ctx, name)
	})
}

// GetRange returns the body of a part of an object.
func (b *Bucket) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	return b.get(ctx, Request{Op: objstore.OpGetRange, Name: name, Off: off, Length: length}, func() (io.ReadCloser, error) {
		return b.inner.GetRange(ctx, name, off, length)
	})
}

func (b *Bucket) get(ctx context.Context, r Request, inner func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	c, err := b.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	if c.isHidden() {
		return nil, c.end(c.hiddenErr())
	}
	rc, err := inner()
	if err != nil {
		return nil, c.end(err)
	}
	if err := c.end(nil); err != nil {
		return nil, errors.Join(err, rc.Close())
	}
	return newBody(ctx, c, rc), nil
}

// Exists reports whether there is an object, which a hidden one is not.
func (b *Bucket) Exists(ctx context.Context, name string) (bool, error) {
	c, err := b.begin(ctx, Request{Op: objstore.OpExists, Name: name, Length: -1})
	if err != nil {
		return false, err
	}
	if c.isHidden() {
		return false, c.end(nil)
	}
	ok, err := b.inner.Exists(ctx, name)
	if err := c.end(err); err != nil {
		return false, err
	}
	return ok, nil
}

// Attributes returns size and age of an object.
func (b *Bucket) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	c, err := b.begin(ctx, Request{Op: objstore.OpAttributes, Name: name, Length: -1})
	if err != nil {
		return objstore.ObjectAttributes{}, err
	}
	if c.isHidden() {
		return objstore.ObjectAttributes{}, c.end(c.hiddenErr())
	}
	attrs, err := b.inner.Attributes(ctx, name)
	if err := c.end(err); err != nil {
		return objstore.ObjectAttributes{}, err
	}
	return attrs, nil
}

// Upload stores an object.
func (b *Bucket) Upload(ctx context.Context, name string, r io.Reader, opts ...objstore.ObjectUploadOption) error {
	c, err := b.begin(ctx, Request{Op: objstore.OpUpload, Name: name, Length: -1})
	if err != nil {
		return err
	}
	if c.cut == Torn {
		data, err := io.ReadAll(r)
		if err == nil {
			err = b.inner.Upload(ctx, name, bytes.NewReader(data[:len(data)/2]), opts...)
		}
		c.die()
		return errors.Join(c.end(nil), err)
	}
	return c.end(b.inner.Upload(ctx, name, &uploaded{ctx: ctx, c: c, r: r}, opts...))
}

// Delete removes an object, hidden or not.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	c, err := b.begin(ctx, Request{Op: objstore.OpDelete, Name: name, Length: -1})
	if err != nil {
		return err
	}
	return c.end(b.inner.Delete(ctx, name))
}

// uploaded is what an upload reads: bytes counted, and no more of them once the
// process is dead.
type uploaded struct {
	ctx context.Context
	c   *call
	r   io.Reader
}

func (u *uploaded) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, fmt.Errorf("upload %s: %w", u.c.Name, err)
	}
	if u.c.b.Dead() {
		return 0, dead(u.c.Request)
	}
	n, err := u.r.Read(p)
	u.c.count(OpStats{Written: int64(n)})
	return n, err
}

// ObjectSize passes on the size where it is known: there are stores that want it.
func (u *uploaded) ObjectSize() (int64, error) { return objstore.TryToGetSize(u.r) }

// halves reports whether an operation can be made by half.
func halves(op string) bool {
	switch op {
	case objstore.OpUpload, objstore.OpGet, objstore.OpGetRange:
		return true
	}
	return false
}
