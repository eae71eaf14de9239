package discovery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// everyField has every field of Thanos' endpoint configuration.
const everyField = `
default_client_config:
  compression: snappy
  server_name: default.example
  tls_config:
    enabled: true
    insecure_skip_verify: false
    cert_file: d.crt
    key_file: d.key
    ca_file: d-ca.crt
    min_version: "1.2"
endpoints:
- address: dns+store.example:10901
  group: true
  service_config: '{"loadBalancingPolicy":"round_robin"}'
- address: sidecar.example:443
  strict: true
  client_config:
    server_name: eu.example
    compression: none
    tls_config:
      insecure_skip_verify: true
      cert_file: eu.crt
      key_file: eu.key
      ca_file: eu-ca.crt
      min_version: 1.3
- address: plain.example:10901
  client_config: {tls_config: {enabled: false}}
`

func TestParseConfig(t *testing.T) {
	t.Parallel()
	got, err := discovery.ParseConfig([]byte(everyField))
	testutil.Ok(t, err)
	testutil.Equals(t, &discovery.Config{
		DefaultClient: discovery.ClientConfig{
			Compression: "snappy", ServerName: "default.example",
			TLS: discovery.TLSConfig{
				Enabled: new(true), InsecureSkipVerify: new(false),
				CertFile: new("d.crt"), KeyFile: new("d.key"), CAFile: new("d-ca.crt"), MinVersion: new("1.2"),
			},
		},
		Endpoints: []discovery.Endpoint{
			{Address: "dns+store.example:10901", Group: true, ServiceConfig: `{"loadBalancingPolicy":"round_robin"}`},
			{Address: "sidecar.example:443", Strict: true, Client: discovery.ClientConfig{
				ServerName: "eu.example", Compression: "none",
				TLS: discovery.TLSConfig{
					InsecureSkipVerify: new(true), CertFile: new("eu.crt"), KeyFile: new("eu.key"), CAFile: new("eu-ca.crt"), MinVersion: new("1.3"),
				},
			}},
			{Address: "plain.example:10901", Client: discovery.ClientConfig{TLS: discovery.TLSConfig{Enabled: new(false)}}},
		},
	}, got)
	for _, text := range []string{"", "\n", "# nothing\n", "{}", "endpoints: []"} {
		got, err := discovery.ParseConfig([]byte(text))
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(got.Endpoints))
	}
}

func TestParseConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"endpoints:\n- address: a:1\n  grupo: true\n":                 "line 3: field grupo not found",
		"endpoints:\n- address: a:1\n  client_config:\n    tls: {}\n": "line 4: field tls not found",
		"endpoints:\n- address: a:1\n  address: b:1\n":                `line 3: field address already set`,
		"endpoints:\n- address: a:1\n  strict: perhaps\n":             "line 3: cannot unmarshal",
		"endpoints: [\n":                                                            "line 1:",
		"endpoints: []\n---\nendpoints: []\n":                                       "more than one document",
		"endpoints: [{address: a}]":                                                 `address "a" is not host:port`,
		"endpoints: [{strict: true}]":                                               `address "" is not host:port`,
		"endpoints: [{address: dns+a}]":                                             `address "dns+a": address a: missing port`,
		"endpoints: [{address: 'dns+:1'}]":                                          `host or port is empty`,
		"endpoints: [{address: 'dnssrv+'}]":                                         `name is empty`,
		"endpoints: [{address: 'dnss+a:1'}]":                                        `unknown kind of lookup "dnss"`,
		"endpoints: [{address: 'a:1', service_config: '{}'}]":                       "endpoint a:1: service_config is for groups only",
		"endpoints: [{address: 'a:1', client_config: {compression: zip}}]":          `endpoint a:1: compression is "zip", want none or snappy`,
		"default_client_config: {compression: zip}":                                 `default_client_config: compression is "zip"`,
		"default_client_config: {tls_config: {cert_file: x}}":                       "default_client_config: cert_file and key_file go together",
		"default_client_config: {tls_config: {enabled: true, min_version: '1.4'}}":  `min_version: unknown TLS version "1.4"`,
		"endpoints: [{address: 'a:1', client_config: {tls_config: {key_file: x}}}]": "endpoint a:1: cert_file and key_file go together",
	} {
		_, err := discovery.ParseConfig([]byte(text))
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%q: %v, want %q", text, err, want)
	}
	_, err := discovery.ParseConfig([]byte("endpoints: [{address: a}, {address: b}]"))
	testutil.Assert(t, strings.Contains(err.Error(), `"a"`) && strings.Contains(err.Error(), `"b"`), "%v", err)
}

// TestProfiles goes through what Thanos v0.42.4 makes of a client_config beside
// the flags or the default_client_config.
func TestProfiles(t *testing.T) {
	t.Parallel()
	type tlsConfig = discovery.TLSConfig
	full := discovery.ClientConfig{ServerName: "d", Compression: "snappy", TLS: tlsConfig{
		Enabled: new(true), CertFile: new("d.crt"), KeyFile: new("d.key"), CAFile: new("d.ca"), MinVersion: new("1.2"), InsecureSkipVerify: new(true),
	}}
	off := full
	off.TLS.Enabled = new(false)
	ofFull := discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "d.ca", Version: "1.2", Name: "d", Comp: "snappy"}
	for name, tc := range map[string]struct {
		client, def discovery.ClientConfig
		want        discovery.Profile
	}{
		"nothing":                  {want: discovery.Profile{Comp: "none"}},
		"default":                  {def: full, want: ofFull},
		"default off":              {def: off, want: discovery.Profile{Comp: "snappy"}},
		"default by its files":     {def: discovery.ClientConfig{TLS: tlsConfig{CAFile: new("x")}}, want: discovery.Profile{TLS: true, CA: "x", Comp: "none"}},
		"default by its name":      {def: discovery.ClientConfig{ServerName: "x"}, want: discovery.Profile{Comp: "none"}},
		"compression alone":        {client: discovery.ClientConfig{Compression: "none"}, def: full, want: discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "d.ca", Version: "1.2", Name: "d", Comp: "none"}},
		"plain":                    {client: discovery.ClientConfig{TLS: tlsConfig{Enabled: new(false), CAFile: new("x")}}, def: full, want: discovery.Profile{Comp: "snappy"}},
		"its own":                  {client: discovery.ClientConfig{TLS: tlsConfig{Enabled: new(true)}}, def: full, want: discovery.Profile{TLS: true, Comp: "snappy"}},
		"files, default on":        {client: discovery.ClientConfig{TLS: tlsConfig{CAFile: new("x")}}, def: full, want: discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "x", Version: "1.2", Comp: "snappy"}},
		"files, default off":       {client: discovery.ClientConfig{TLS: tlsConfig{CAFile: new("x")}}, def: off, want: discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "x", Version: "1.2", Comp: "snappy"}},
		"verify, default does not": {client: discovery.ClientConfig{TLS: tlsConfig{InsecureSkipVerify: new(false)}}, def: full, want: discovery.Profile{TLS: true, Cert: "d.crt", Key: "d.key", CA: "d.ca", Version: "1.2", Comp: "snappy"}},
		"name, default on":         {client: discovery.ClientConfig{ServerName: "x"}, def: full, want: discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "d.ca", Version: "1.2", Name: "x", Comp: "snappy"}},
		"name, default off":        {client: discovery.ClientConfig{ServerName: "x"}, def: off, want: discovery.Profile{Comp: "snappy"}},
		"version, default on":      {client: discovery.ClientConfig{TLS: tlsConfig{MinVersion: new("1.3")}}, def: full, want: discovery.Profile{TLS: true, SkipVerify: true, Cert: "d.crt", Key: "d.key", CA: "d.ca", Version: "1.3", Comp: "snappy"}},
	} {
		testutil.Equals(t, tc.want, discovery.ProfileOf(tc.client, tc.def), name)
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	base := &discovery.Config{
		DefaultClient: discovery.ClientConfig{ServerName: "b", Compression: "snappy", TLS: discovery.TLSConfig{CAFile: new("b")}},
		Endpoints:     []discovery.Endpoint{{Address: "a:1"}},
	}
	more := &discovery.Config{Endpoints: []discovery.Endpoint{{Address: "b:1"}}}
	got := base.With(more)
	testutil.Equals(t, base.DefaultClient, got.DefaultClient)
	testutil.Equals(t, []discovery.Endpoint{{Address: "a:1"}, {Address: "b:1"}}, got.Endpoints)
	more.DefaultClient = discovery.ClientConfig{TLS: discovery.TLSConfig{Enabled: new(false)}}
	testutil.Equals(t, discovery.ClientConfig{Compression: "snappy", TLS: discovery.TLSConfig{Enabled: new(false)}}, base.With(more).DefaultClient)
	more.DefaultClient = discovery.ClientConfig{Compression: "none"}
	testutil.Equals(t, discovery.ClientConfig{ServerName: "b", Compression: "none", TLS: discovery.TLSConfig{CAFile: new("b")}}, base.With(more).DefaultClient)
	testutil.Equals(t, 1, len(base.Endpoints))
}

func TestParseTargets(t *testing.T) {
	t.Parallel()
	want := []discovery.Endpoint{{Address: "a:1"}, {Address: "dns+b:1"}, {Address: "c:1"}}
	for path, text := range map[string]string{
		"a.yaml": "- targets: ['a:1', 'dns+b:1']\n  labels: {x: y}\n- targets: ['c:1']\n",
		"a.YML":  "[{targets: ['a:1', 'dns+b:1', 'c:1']}]",
		"a.json": "[\t{\"targets\": [\"a:1\", \"dns+b:1\"], \"labels\": {\"x\": \"y\"}},\n{\"targets\": [\"c:1\"]}]\n",
	} {
		got, err := discovery.ParseTargets(path, []byte(text))
		testutil.Ok(t, err)
		testutil.Equals(t, want, got)
	}
	for _, tc := range []struct{ path, text, want string }{
		{"a.json", "[\n{\"target\": []}]", `line 2: json: unknown field "target"`},
		{"a.json", "[{\"targets\": [\"a:1\"]}", "unexpected EOF"},
		{"a.json", "", "EOF"},
		{"a.json", "[] []", "more than one JSON value"},
		{"a.json", "[null]", "target group 1 is null"},
		{"a.yml", "- targets: ['a:1']\n  label: {}\n", "line 2: field label not found"},
		{"a.yml", "- targets: ['a']\n", `address "a" is not host:port`},
		{"a.yml", "targets: ['a:1']\n", "cannot unmarshal"},
	} {
		_, err := discovery.ParseTargets(tc.path, []byte(tc.text))
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%q: %v, want %q", tc.text, err, tc.want)
	}
}

// FuzzParseConfig: whatever a text is, it is refused with an error that has no
// more than one cause per endpoint, or it is a configuration that a Source takes.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{everyField, "", "endpoints: [{address: 'dns+a:1'}]", "a: &a [*a]", "endpoints:\n- <<: {address: 'a:1'}\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := discovery.ParseConfig(text)
		if err != nil {
			if c != nil {
				t.Fatalf("both a configuration and %v", err)
			}
			return
		}
		s, err := discovery.New(&discovery.Options{Config: *c})
		if err != nil {
			t.Fatalf("parsed, but refused: %v", err)
		}
		testutil.Ok(t, s.Close())
	})
}

func FuzzParseTargets(f *testing.F) {
	f.Add(true, []byte(`[{"targets": ["a:1"], "labels": {"x": "y"}}]`))
	f.Add(false, []byte("- targets: ['a:1', 'dnssrv+b']\n"))
	f.Fuzz(func(t *testing.T, isJSON bool, text []byte) {
		path := "a.yaml"
		if isJSON {
			path = "a.json"
		}
		endpoints, err := discovery.ParseTargets(path, text)
		if err != nil {
			return
		}
		s, err := discovery.New(&discovery.Options{Config: discovery.Config{Endpoints: endpoints}})
		if err != nil {
			t.Fatalf("parsed, but refused: %v", err)
		}
		testutil.Ok(t, s.Close())
	})
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	testutil.Ok(t, os.MkdirAll(filepath.Dir(path), 0o700))
	testutil.Ok(t, os.WriteFile(path, []byte(text), 0o600))
}
