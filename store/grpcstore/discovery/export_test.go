package discovery

// Profile is how an endpoint is spoken with, for tests.
type Profile struct {
	TLS, SkipVerify                    bool
	Cert, Key, CA, Version, Name, Comp string
}

// ProfileOf fills in what c does not say.
func ProfileOf(c, def ClientConfig) Profile {
	p := c.profile(def)
	return Profile{p.tls, p.skipVerify, p.certFile, p.keyFile, p.caFile, p.minVersion, p.serverName, p.compression}
}

// ParseTargets reads a file of file SD.
func ParseTargets(path string, text []byte) ([]Endpoint, error) { return parseTargets(path, text) }

// TLSFiles is the number of different configurations of TLS in use.
func (s *Source) TLSFiles() int { return len(s.tls) }
