package program

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	promtestutil "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// lockedText is what was written, by whomever.
type lockedText struct {
	mu   sync.Mutex
	text []byte
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *lockedText) read() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) time.Time { return time.Now().Add(d) }
		certs := []tlsutil.Expiry{
			{File: "ca.crt", Subject: "CN=ca", CA: true, NotAfter: at(30 * 24 * time.Hour)},
			{File: "ca.crt", Subject: "CN=ca", CA: true, NotAfter: at(-time.Hour)},
			{File: "tls.crt", Subject: "CN=store", NotAfter: at(expiryWarning + 30*time.Minute)},
		}
		var text lockedText
		e := newExpiry(func() []tlsutil.Expiry { return certs }, slog.New(slog.NewTextHandler(&text, nil)))
		testutil.Ok(t, promtestutil.CollectAndCompare(e, strings.NewReader(`# HELP thanoskit_tls_certificate_not_after_timestamp_seconds When a certificate that is in use ends, by the file that it is in.
# TYPE thanoskit_tls_certificate_not_after_timestamp_seconds gauge
thanoskit_tls_certificate_not_after_timestamp_seconds{file="ca.crt",subject="CN=ca"} 9.492768e+08
thanoskit_tls_certificate_not_after_timestamp_seconds{file="tls.crt",subject="CN=store"} 9.472914e+08
`)))
		go e.run(t.Context())
		synctest.Wait()
		testutil.Assert(t, strings.Contains(text.read(), "certificate has expired") && !strings.Contains(text.read(), "tls.crt"), "%s", text.read())
		<-time.After(expiryInterval + time.Second) // of fake time
		synctest.Wait()
		testutil.Assert(t, strings.Contains(text.read(), `msg="certificate expires soon" file=tls.crt subject="CN=store"`) && strings.Contains(text.read(), "left=167h30m0s"), "%s", text.read())
	})
}
