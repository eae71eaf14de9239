package tlsutil_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestServerCertificateReloads(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())})
	testutil.Ok(t, err)
	config, asked := srv.Config().Clone(), to("store.example", cli.Config(""))

	r := connect(t, config, asked)
	testutil.Ok(t, r.err())
	testutil.Equals(t, "server", serverCommonName(r))

	f.server(ca, func(l *tlsutil.Leaf) { l.CommonName = "renewed" })
	r = connect(t, config, asked)
	testutil.Ok(t, r.err())
	testutil.Equals(t, "renewed", serverCommonName(r))
}

func TestClientCertificateAndCAReload(t *testing.T) {
	t.Parallel()
	f, before, after := newFolder(t), newCA(t, "before"), newCA(t, "after")
	cert, key := f.server(before, nil)
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: f.write("clients.crt", before.PEM())})
	testutil.Ok(t, err)
	opts := tlsutil.ClientOptions{CAFile: f.write("ca.crt", before.PEM())}
	opts.CertFile, opts.KeyFile = f.client(before, nil)
	cli, err := tlsutil.NewClient(&opts)
	testutil.Ok(t, err)
	ask := func() result {
		t.Helper()
		return connect(t, srv.Config(), to("store.example", cli.Config("")))
	}
	testutil.Ok(t, ask().err())

	f.write("clients.crt", after.PEM())
	testutil.NotOk(t, ask().servErr) // the old client
	f.client(after, nil)
	r := ask()
	testutil.Ok(t, r.err())
	testutil.Equals(t, "after", r.server.PeerCertificates[0].Issuer.CommonName)

	f.server(after, nil)
	r = ask()
	_, ok := errors.AsType[*tls.CertificateVerificationError](r.clientErr)
	testutil.Assert(t, ok, "%v", r.clientErr)
	f.write("ca.crt", before.PEM(), after.PEM())
	testutil.Ok(t, ask().err())
	f.write("ca.crt", after.PEM())
	testutil.Ok(t, ask().err())
}

// recorder keeps what was reported.
type recorder struct {
	files []string
	errs  []error
}

func (r *recorder) report(files []string, err error) {
	r.files, r.errs = append(r.files, files...), append(r.errs, err)
}

func TestBadFilesKeepTheLastGoodOnes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(f folder, ca *tlsutil.CA)
		file  string
		want  error
	}{
		"certificate half written": {func(f folder, _ *tlsutil.CA) {
			b, err := os.ReadFile(f.path("tls.crt"))
			testutil.Ok(f, err)
			f.write("tls.crt", b[:len(b)/2])
		}, "tls.crt", tlsutil.ErrMalformed},
		"certificate emptied": {func(f folder, _ *tlsutil.CA) { f.write("tls.crt") }, "tls.crt", tlsutil.ErrNoCertificate},
		"key half written": {func(f folder, _ *tlsutil.CA) {
			b, err := os.ReadFile(f.path("tls.key"))
			testutil.Ok(f, err)
			f.write("tls.key", b[:len(b)/2])
		}, "tls.key", tlsutil.ErrMalformed},
		"key gone": {func(f folder, _ *tlsutil.CA) { testutil.Ok(f, os.Remove(f.path("tls.key"))) }, "tls.key", fs.ErrNotExist},
		"certificate changed before its key": {func(f folder, ca *tlsutil.CA) {
			p, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"store.example"}})
			testutil.Ok(f, err)
			f.write("tls.crt", p.CertPEM)
		}, "tls.key", tlsutil.ErrKeyMismatch},
		"expired": {func(f folder, ca *tlsutil.CA) {
			f.server(ca, func(l *tlsutil.Leaf) {
				l.NotBefore, l.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
			})
		}, "tls.crt", tlsutil.ErrExpired},
		"not yet valid": {func(f folder, ca *tlsutil.CA) {
			f.server(ca, func(l *tlsutil.Leaf) { l.NotBefore = time.Now().Add(time.Hour) })
		}, "tls.crt", tlsutil.ErrNotYetValid},
		"CA emptied": {func(f folder, _ *tlsutil.CA) { f.write("clients.crt") }, "clients.crt", tlsutil.ErrNoCertificate},
		"CA that is none": {func(f folder, ca *tlsutil.CA) {
			p, err := ca.IssueClient(tlsutil.Leaf{CommonName: "leaf"})
			testutil.Ok(f, err)
			f.write("clients.crt", ca.PEM(), p.CertPEM)
		}, "clients.crt", tlsutil.ErrNotCA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ca := newFolder(t), newCA(t, "ca")
			var got recorder
			var log bytes.Buffer
			cert, key := f.server(ca, nil)
			srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{
				ClientCAFile: f.write("clients.crt", ca.PEM()), OnReload: got.report, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(got.errs))
			opts := tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())}
			opts.CertFile, opts.KeyFile = f.client(ca, nil)
			cli, err := tlsutil.NewClient(&opts)
			testutil.Ok(t, err)
			good := map[string][]byte{}
			for _, name := range []string{"tls.crt", "tls.key", "clients.crt"} {
				good[name], err = os.ReadFile(f.path(name))
				testutil.Ok(t, err)
			}

			tc.spoil(f, ca)
			for range 3 {
				r := connect(t, srv.Config(), to("store.example", cli.Config("")))
				testutil.Ok(t, r.err())
				testutil.Equals(t, "server", serverCommonName(r))
			}
			err = srv.Reload()
			testutil.Assert(t, errors.Is(err, tc.want), "%v", err)
			fileErr, ok := errors.AsType[*tlsutil.FileError](err)
			testutil.Assert(t, ok && fileErr.File == f.path(tc.file), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), f.path(tc.file)), "%v", err)
			testutil.Equals(t, 1, len(got.errs)) // once, however often it is looked at
			testutil.Assert(t, errors.Is(got.errs[0], tc.want), "%v", got.errs)
			testutil.Equals(t, 1, strings.Count(log.String(), "level=ERROR"))

			for name, b := range good {
				f.write(name, b)
			}
			testutil.Ok(t, srv.Reload())
			testutil.Equals(t, 2, len(got.errs))
			testutil.Ok(t, got.errs[1])
		})
	}
}

func TestWhatIsWrongAtTheStart(t *testing.T) {
	t.Parallel()
	f, ca, other := newFolder(t), newCA(t, "ca"), newCA(t, "other")
	cert, key := f.server(ca, nil)
	otherKey := func() string {
		p, err := other.IssueServer(tlsutil.Leaf{})
		testutil.Ok(t, err)
		return f.write("other.key", p.KeyPEM)
	}()
	short, err := tlsutil.NewCA("short", time.Nanosecond)
	testutil.Ok(t, err)
	expiredCA := f.write("expired.crt", short.PEM())
	leaf, err := os.ReadFile(cert)
	testutil.Ok(t, err)

	for name, tc := range map[string]struct {
		cert, key, ca string
		want          []string
	}{
		"missing":      {f.path("no.crt"), key, "", []string{"load " + f.path("no.crt") + ": no such file or directory"}},
		"a folder":     {f.dir, key, "", []string{"load " + f.dir + ": is a directory"}},
		"swapped":      {key, cert, "", []string{"load " + key + ": no certificate in PEM form"}},
		"no key":       {cert, cert, "", []string{"load " + cert + ": no private key in PEM form"}},
		"mismatch":     {cert, otherKey, "", []string{"load " + otherKey + ": key does not match certificate " + cert}},
		"encrypted":    {cert, f.write("enc.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")), "", []string{"is not supported"}},
		"bad key":      {cert, f.write("bad.key", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), "", []string{"malformed private key"}},
		"bad RSA key":  {cert, f.write("rsa.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")), "", []string{"malformed private key"}},
		"bad EC key":   {cert, f.write("ec.key", []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")), "", []string{"malformed private key"}},
		"bad DER":      {f.write("bad.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), key, "", []string{"malformed certificate 1"}},
		"leaf as CA":   {cert, key, f.write("leaf.crt", leaf), []string{`certificate is not that of a CA: "CN=server"`}},
		"expired CA":   {cert, key, expiredCA, []string{`certificate of "CN=short" expired on `}},
		"all of these": {f.path("no.crt"), key, expiredCA, []string{"no.crt", "expired.crt"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tlsutil.NewServer(tc.cert, tc.key, &tlsutil.ServerOptions{ClientCAFile: tc.ca})
			testutil.NotOk(t, err)
			for _, w := range tc.want {
				testutil.Assert(t, strings.Contains(err.Error(), w), "%q has no %q", err, w)
			}
			_, err = tlsutil.NewClient(&tlsutil.ClientOptions{CertFile: tc.cert, KeyFile: tc.key, CAFile: tc.ca})
			testutil.NotOk(t, err)
		})
	}
}

func TestExpiredInABundleIsFine(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	short, err := tlsutil.NewCA("short", time.Nanosecond)
	testutil.Ok(t, err)
	_, err = tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", short.PEM(), ca.PEM())})
	testutil.Ok(t, err)
}

func TestValidityError(t *testing.T) {
	t.Parallel()
	now := time.Now()
	past := &tlsutil.ValidityError{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour), Now: now}
	future := &tlsutil.ValidityError{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour), Now: now}
	testutil.Assert(t, errors.Is(past, tlsutil.ErrExpired) && !errors.Is(past, tlsutil.ErrNotYetValid))
	testutil.Assert(t, errors.Is(future, tlsutil.ErrNotYetValid) && !errors.Is(future, tlsutil.ErrExpired))
}

// TestFilesAreReadWhenTheyMayHaveChanged: a file that was quiet when it was read
// is only looked at; one that changed a moment before is read again, because a
// further change need not show.
func TestFilesAreReadWhenTheyMayHaveChanged(t *testing.T) {
	t.Parallel()
	for _, settled := range []bool{false, true} {
		f, a, b := newFolder(t), newCA(t, "a"), newCA(t, "b")
		first, second := a.PEM(), b.PEM()
		for len(first) < len(second) {
			first = append(first, '\n')
		}
		for len(second) < len(first) {
			second = append(second, '\n')
		}
		cert, key := f.server(a, nil)
		f.write("ca.crt", first)
		if settled {
			f.age("ca.crt")
		} else { // and is not, however long this takes
			testutil.Ok(t, os.Chtimes(f.path("ca.crt"), time.Time{}, time.Now().Add(time.Hour).Truncate(time.Second)))
		}
		info, err := os.Stat(f.path("ca.crt"))
		testutil.Ok(t, err)
		reloads := 0
		srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: f.path("ca.crt"), OnReload: func([]string, error) { reloads++ }})
		testutil.Ok(t, err)
		f.write("ca.crt", second) // in place, with the same size and time
		testutil.Ok(t, os.Chtimes(f.path("ca.crt"), time.Time{}, info.ModTime()))
		testutil.Ok(t, srv.Reload())
		if !settled {
			testutil.Equals(t, 1, reloads)
			continue
		}
		testutil.Equals(t, 0, reloads)
		testutil.Ok(t, os.Chtimes(f.path("ca.crt"), time.Time{}, info.ModTime().Add(time.Second)))
		testutil.Ok(t, srv.Reload())
		testutil.Equals(t, 1, reloads)
	}
}

// TestLinkedFolders is how Kubernetes puts a secret in place.
func TestLinkedFolders(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	put := func(dir, name string) {
		t.Helper()
		d := folder{t, f.path(dir)}
		testutil.Ok(t, os.Mkdir(d.dir, 0o700))
		d.server(ca, func(l *tlsutil.Leaf) { l.CommonName = name })
		d.age("tls.crt", "tls.key")
		testutil.Ok(t, os.Symlink(dir, f.path("tmp")))
		testutil.Ok(t, os.Rename(f.path("tmp"), f.path("data")))
	}
	put("v1", "first")
	srv, err := tlsutil.NewServer(filepath.Join(f.path("data"), "tls.crt"), filepath.Join(f.path("data"), "tls.key"), nil)
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())})
	testutil.Ok(t, err)
	put("v2", "second")
	r := connect(t, srv.Config(), to("store.example", cli.Config("")))
	testutil.Ok(t, r.err())
	testutil.Equals(t, "second", serverCommonName(r))
}
