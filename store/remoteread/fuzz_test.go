package remoteread_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"

	"github.com/thanoskit/thanoskit/store/remoteread"
)

// FuzzHandler: whatever is sent, the answer is one of those documented.
func FuzzHandler(f *testing.F) {
	f.Add(requestOf(queryOf(f, 1<<40, everything), 1), true)
	f.Add(requestOf(queryOf(f, 1<<40, everything), 0), true)
	f.Add([]byte{0x0a, 4, 0x1a, 2, 0x08, 9}, false)
	h, err := remoteread.New(kinds(f), &remoteread.Options{MaxRequestBytes: 1 << 12})
	testutil.Ok(f, err)
	f.Fuzz(func(t *testing.T, body []byte, compressed bool) {
		if !compressed {
			body = snappy.Encode(nil, body)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/read", bytes.NewReader(body)))
		switch w.Code {
		case http.StatusOK:
			_, err := io.ReadAll(w.Body)
			testutil.Ok(t, err)
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	})
}
