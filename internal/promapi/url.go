package promapi

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// ParseURL checks that rawURL is where a Prometheus can be.
func ParseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse URL of Prometheus: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("parse URL of Prometheus: scheme of %q is neither http nor https", u.Redacted())
	case u.Host == "":
		return nil, fmt.Errorf("parse URL of Prometheus: %q has no host", u.Redacted())
	}
	return u, nil
}

// NewClient returns a client that keeps connections open and uses no proxy, and
// a function that closes those that are idle.
func NewClient() (client *http.Client, closeIdle func()) {
	t := &http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		ReadBufferSize: 64 << 10, ForceAttemptHTTP2: true,
	}
	return &http.Client{Transport: t}, t.CloseIdleConnections
}
