package program

import (
	"flag"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

// pair writes a certificate, its key and its CA.
func pair(t *testing.T) (cert, key, caFile string) {
	t.Helper()
	dir := t.TempDir()
	cert, key, caFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	p, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"localhost"}})
	testutil.Ok(t, err)
	testutil.Ok(t, p.WriteFiles(cert, key))
	testutil.Ok(t, ca.WriteFile(caFile))
	return cert, key, caFile
}

func flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func TestServerTLSFlags(t *testing.T) {
	cert, key, ca := pair(t)
	for name, tc := range map[string]struct {
		args    []string
		options int
		want    string // error
	}{
		"none":          {options: 1},
		"no age":        {args: []string{"--grpc-server-max-connection-age=0"}},
		"TLS":           {args: []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key}, options: 2},
		"clients":       {args: []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key, "--grpc-server-tls-client-ca=" + ca}, options: 2},
		"version":       {args: []string{"--grpc-server-tls-min-version=1.2"}, options: 1},
		"names":         {args: []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key, "--grpc-server-tls-curves=X25519,CurveP256", "--grpc-server-tls-ciphers=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, options: 2},
		"no key":        {args: []string{"--grpc-server-tls-cert=" + cert}, want: "--grpc-server-tls-cert needs --grpc-server-tls-key"},
		"no cert":       {args: []string{"--grpc-server-tls-key=" + key}, want: "--grpc-server-tls-key needs --grpc-server-tls-cert"},
		"only the CA":   {args: []string{"--grpc-server-tls-client-ca=" + ca}, want: "--grpc-server-tls-client-ca needs --grpc-server-tls-cert and --grpc-server-tls-key"},
		"absent":        {args: []string{"--grpc-server-tls-cert=/absent", "--grpc-server-tls-key=" + key}, want: "make TLS server: load /absent: no such file or directory"},
		"bad curve":     {args: []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key, "--grpc-server-tls-curves=x"}, want: `--grpc-server-tls-curves: unknown curve "x", want one of CurveP256, CurveP384, CurveP521, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, X25519MLKEM768`},
		"wrong version": {args: []string{"--grpc-server-tls-min-version=2"}, want: `invalid value "2" for flag -grpc-server-tls-min-version: not one of 1.3, 1.2, 1.1, 1.0`},
	} {
		t.Run(name, func(t *testing.T) {
			fs := flagSet()
			s := newServerTLS(fs)
			err := fs.Parse(tc.args)
			if err == nil {
				options, _, optionsErr := s.options(silent)
				testutil.Equals(t, tc.options, len(options))
				err = optionsErr
			}
			check(t, tc.want, err)
		})
	}
}

func TestClientTLSFlags(t *testing.T) {
	cert, key, ca := pair(t)
	for name, tc := range map[string]struct {
		args    []string
		options int
		want    string
	}{
		"none":            {},
		"system's CAs":    {args: []string{"--grpc-client-tls-secure"}, options: 1},
		"all":             {args: []string{"--grpc-client-tls-secure", "--grpc-client-tls-cert=" + cert, "--grpc-client-tls-key=" + key, "--grpc-client-tls-ca=" + ca, "--grpc-client-server-name=x", "--grpc-client-tls-min-version=1.2"}, options: 1},
		"skip":            {args: []string{"--grpc-client-tls-secure", "--grpc-client-tls-skip-verify"}, options: 1},
		"CA alone":        {args: []string{"--grpc-client-tls-ca=" + ca}, want: "--grpc-client-tls-ca needs --grpc-client-tls-secure"},
		"skip alone":      {args: []string{"--grpc-client-tls-skip-verify"}, want: "--grpc-client-tls-skip-verify needs --grpc-client-tls-secure"},
		"name alone":      {args: []string{"--grpc-client-server-name=x"}, want: "--grpc-client-server-name needs --grpc-client-tls-secure"},
		"pair alone":      {args: []string{"--grpc-client-tls-cert=" + cert, "--grpc-client-tls-key=" + key}, want: "--grpc-client-tls-cert needs --grpc-client-tls-secure"},
		"no key":          {args: []string{"--grpc-client-tls-secure", "--grpc-client-tls-cert=" + cert}, want: "--grpc-client-tls-cert needs --grpc-client-tls-key"},
		"no cert":         {args: []string{"--grpc-client-tls-secure", "--grpc-client-tls-key=" + key}, want: "--grpc-client-tls-key needs --grpc-client-tls-cert"},
		"absent":          {args: []string{"--grpc-client-tls-secure", "--grpc-client-tls-ca=/absent"}, want: "make TLS client: load /absent: no such file or directory"},
		"version unknown": {args: []string{"--grpc-client-tls-min-version=x"}, want: `invalid value "x" for flag -grpc-client-tls-min-version: not one of 1.3, 1.2, 1.1, 1.0`},
	} {
		t.Run(name, func(t *testing.T) {
			fs := flagSet()
			c := NewClientTLS(fs)
			err := fs.Parse(tc.args)
			if err == nil {
				options, optionsErr := c.DialOptions("localhost:1", silent)
				testutil.Equals(t, tc.options, len(options))
				err = optionsErr
			}
			check(t, tc.want, err)
		})
	}
}

func check(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		testutil.Ok(t, err)
		return
	}
	testutil.NotOk(t, err)
	testutil.Equals(t, want, err.Error())
}

func TestHostOf(t *testing.T) {
	for target, want := range map[string]string{
		"store.example:10901": "store.example", "dns:///store.example:1": "store.example", "dns://1.1.1.1/store.example:1": "store.example",
		"127.0.0.1:1": "127.0.0.1", "[::1]:1": "::1", "store.example": "store.example",
	} {
		testutil.Equals(t, want, hostOf(target))
	}
}
