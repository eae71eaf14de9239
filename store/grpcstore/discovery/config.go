package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Config is the endpoints to ask and how, as in the file of Thanos'
// --endpoint.sd-config-file:
//
//	default_client_config:
//	  compression: snappy
//	  tls_config: {enabled: true, ca_file: /etc/tls/ca.crt}
//	endpoints:
//	- address: dns+store.example:10901
//	  group: true
//	- address: sidecar.example:443
//	  strict: true
//	  client_config:
//	    server_name: eu.example
//	    tls_config: {cert_file: /etc/tls/eu.crt, key_file: /etc/tls/eu.key}
//	  serves: {cluster: [eu-1, eu-2]} # not in Thanos
//
// Source: cmd/thanos/endpointset.go of v0.42.4. Unlike there, unknown fields are
// errors; strict goes with names to look up; client_config holds for those too;
// and compression holds whatever is said of TLS, and in default_client_config.
type Config struct {
	// DefaultClient is how endpoints are spoken with that do not say otherwise.
	DefaultClient ClientConfig `yaml:"default_client_config"`
	Endpoints     []Endpoint   `yaml:"endpoints"`
}

// Endpoint is an address and what is known of those behind it.
type Endpoint struct {
	// Address is host:port, or a name to look up; see the package comment.
	Address string `yaml:"address"`
	// Group declares that all that is found by the address has the same data.
	Group bool `yaml:"group"`
	// Strict makes what is found count even while it does not describe itself;
	// see fanout.Member.
	Strict bool `yaml:"strict"`
	// ServiceConfig is gRPC's, in JSON, for the connections of a group: its retry
	// policy holds for each of them. Balancing is the fan-out's.
	ServiceConfig string `yaml:"service_config"`
	// Client is how the endpoint is spoken with.
	Client ClientConfig `yaml:"client_config"`
	// Serves are the external labels that all it serves must have: each name with
	// one of the values. What has others is left out, and said; see
	// store.WithServed. If it is nil it may serve anything; no names are an error, in
	// YAML also a key without a value, lest a template that renders nothing lets
	// anything through. It goes well with TLS and a name, so that it is known who
	// serves. Not in Thanos.
	Serves map[string]Values `yaml:"serves"`
}

// UnmarshalYAML reads an endpoint, and tells serves that says nothing from serves
// that is not there.
func (e *Endpoint) UnmarshalYAML(unmarshal func(any) error) error {
	type endpoint Endpoint // without this method
	if err := unmarshal((*endpoint)(e)); err != nil || e.Serves != nil {
		return err
	}
	// Only a key without a value makes nil of what is not.
	again := endpoint{Serves: map[string]Values{}}
	if err := unmarshal(&again); err != nil {
		return err
	}
	if again.Serves == nil {
		e.Serves = map[string]Values{}
	}
	return nil
}

// Values are those that a label may have: in YAML a list, or one by itself.
type Values []string

// UnmarshalYAML reads a string or a list of them.
func (v *Values) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if err := unmarshal(&one); err == nil {
		*v = Values{one}
		return nil
	}
	return unmarshal((*[]string)(v))
}

// served returns what the endpoint may serve, as matchers and as text.
func (e *Endpoint) served() (ms []*labels.Matcher, text string, err error) {
	if e.Serves != nil && len(e.Serves) == 0 {
		return nil, "", fmt.Errorf("endpoint %s: serves: there are no labels", e.Address)
	}
	values := make(map[string][]string, len(e.Serves))
	for name, v := range e.Serves {
		values[name] = v
	}
	if ms, err = store.Having(values); err != nil {
		return nil, "", fmt.Errorf("endpoint %s: serves: %w", e.Address, err)
	}
	return ms, fmt.Sprint(ms), nil
}

// ClientConfig is how an endpoint is spoken with.
type ClientConfig struct {
	TLS TLSConfig `yaml:"tls_config"`
	// ServerName is asked for, in TLS and as :authority, in place of the host. It
	// means nothing without TLS.
	ServerName string `yaml:"server_name"`
	// Compression is "none", "snappy" or empty, which leaves it to the default.
	Compression string `yaml:"compression"`
}

// TLSConfig is whether and how TLS is spoken. What is nil was not said.
//
// If TLSConfig says nothing and there is no ServerName, the default holds. If it
// does not say whether TLS is enabled, all that it does not say is the default's,
// and it is enabled if a file or InsecureSkipVerify is given. If it does say so,
// nothing is the default's.
type TLSConfig struct {
	Enabled            *bool `yaml:"enabled"`
	InsecureSkipVerify *bool `yaml:"insecure_skip_verify"`
	// CertFile and KeyFile are the certificate to show, CAFile those who sign the
	// servers'; PEM. Without a CA it is those of the system.
	CertFile *string `yaml:"cert_file"`
	KeyFile  *string `yaml:"key_file"`
	CAFile   *string `yaml:"ca_file"`
	// MinVersion is the least version of TLS: "1.0" to "1.3", which is the
	// default.
	MinVersion *string `yaml:"min_version"`
}

// ParseConfig reads a Config in YAML. An empty text is an empty Config.
//
// Errors: with the line, if it is not YAML, has unknown fields or fields twice;
// with the address, all endpoints that are wrong, joined. Files are not looked at.
func ParseConfig(text []byte) (*Config, error) {
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.SetStrict(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parse endpoint configuration: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse endpoint configuration: more than one document")
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("check endpoint configuration: %w", err)
	}
	return &c, nil
}

// check returns all that is wrong, joined.
func (c *Config) check() error {
	errs := []error{c.DefaultClient.profile(ClientConfig{}).check("default_client_config")}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		_, err := parseAddress(e.Address)
		_, _, servedErr := e.served()
		errs = append(errs, err, servedErr, e.Client.profile(c.DefaultClient).check("endpoint "+e.Address))
		if e.ServiceConfig != "" && !e.Group {
			errs = append(errs, fmt.Errorf("endpoint %s: service_config is for groups only", e.Address))
		}
	}
	return errors.Join(errs...)
}

// With returns c with what over says besides: its endpoints are added, and what
// it says of clients comes before what c says, as a whole.
func (c *Config) With(over *Config) *Config {
	out := &Config{DefaultClient: c.DefaultClient}
	if d := &over.DefaultClient; d.saysTLS() {
		out.DefaultClient.TLS, out.DefaultClient.ServerName = d.TLS, d.ServerName
	}
	if over.DefaultClient.Compression != "" {
		out.DefaultClient.Compression = over.DefaultClient.Compression
	}
	out.Endpoints = append(append(out.Endpoints, c.Endpoints...), over.Endpoints...)
	return out
}

func (c *ClientConfig) saysTLS() bool { return c.TLS != (TLSConfig{}) || c.ServerName != "" }

// saysFiles reports whether TLS is meant even if nobody says that it is enabled.
func (t *TLSConfig) saysFiles() bool {
	return t.CertFile != nil || t.KeyFile != nil || t.CAFile != nil || t.InsecureSkipVerify != nil
}

// profile is how an endpoint is spoken with, once nothing is left to a default.
type profile struct {
	tls, skipVerify         bool
	certFile, keyFile       string
	caFile                  string
	minVersion              string
	serverName, compression string
}

// profile fills in what c does not say.
func (c ClientConfig) profile(def ClientConfig) profile {
	compression := first(c.Compression, def.Compression, compressionNone)
	if !c.saysTLS() {
		c, def = def, ClientConfig{} // the default as a whole
	}
	t := c.TLS
	switch {
	case t.Enabled != nil:
		def = ClientConfig{} // the rest is its own, too
	case t.saysFiles():
		t.Enabled = new(true)
	default:
		t.Enabled = def.TLS.enabled()
	}
	if !deref(t.Enabled, nil) {
		return profile{compression: compression} // nothing else means anything
	}
	return profile{
		tls:         true,
		skipVerify:  deref(t.InsecureSkipVerify, def.TLS.InsecureSkipVerify),
		certFile:    deref(t.CertFile, def.TLS.CertFile),
		keyFile:     deref(t.KeyFile, def.TLS.KeyFile),
		caFile:      deref(t.CAFile, def.TLS.CAFile),
		minVersion:  deref(t.MinVersion, def.TLS.MinVersion),
		serverName:  c.ServerName,
		compression: compression,
	}
}

// enabled is what a default says about it.
func (t *TLSConfig) enabled() *bool {
	if t.Enabled == nil && t.saysFiles() {
		return new(true)
	}
	return t.Enabled
}

const compressionNone = "none"

func (p profile) check(what string) error {
	var errs []error
	if p.compression != compressionNone && p.compression != "snappy" {
		errs = append(errs, fmt.Errorf("%s: compression is %q, want none or snappy", what, p.compression))
	}
	if (p.certFile == "") != (p.keyFile == "") {
		errs = append(errs, fmt.Errorf("%s: cert_file and key_file go together", what))
	}
	if _, err := tlsutil.ParseVersion(p.minVersion); err != nil {
		errs = append(errs, fmt.Errorf("%s: min_version: %w", what, err))
	}
	return errors.Join(errs...)
}

// deref returns what the first pointer that is not nil points to.
func deref[T any](a, b *T) T {
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	}
	var zero T
	return zero
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
