package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// maxAnnotations of a kind are in an answer, as in Prometheus.
const maxAnnotations = 10

// answer is what a request gets if there is no error.
type answer struct {
	data     func(*encoder)
	warnings []string
	infos    []string
	partial  bool   // not to be cached
	release  func() // of what data needs; may be nil
}

func (a *answer) close() {
	if a.release != nil {
		a.release()
	}
}

// addStoreWarnings adds what stores warned of, each text once.
func (a *answer) addStoreWarnings(warnings []error) {
	for _, w := range warnings {
		if text := w.Error(); !slices.Contains(a.warnings, text) {
			a.warnings = append(a.warnings, text)
		}
	}
	a.partial = a.partial || len(warnings) > 0
}

// addAnnotations adds what the engine has to say of an expression.
func (a *answer) addAnnotations(as annotations.Annotations, expr string) {
	warnings, infos := as.AsStrings(expr, maxAnnotations, maxAnnotations)
	slices.Sort(warnings)
	slices.Sort(infos)
	a.warnings, a.infos = append(a.warnings, warnings...), append(a.infos, infos...)
}

// truncated says that a limit cut the answer off.
func (a *answer) truncated() {
	a.warnings = append(a.warnings, errTruncated)
	a.partial = true
}

func (h *Handler) respond(w http.ResponseWriter, a *answer) {
	hd := w.Header()
	hd.Set("Content-Type", "application/json")
	if a.partial {
		hd.Set("Cache-Control", "no-store")
	}
	e := newEncoder(w)
	e.raw(`{"status":"success","data":`)
	a.data(e)
	e.strings("warnings", a.warnings)
	e.strings("infos", a.infos)
	e.raw(`}`)
	if err := e.close(); err != nil {
		h.opts.Logger.Debug("write response", "err", err)
	}
}

// errorType is what an error is called in an answer.
type errorType string

const (
	errorBadData   errorType = "bad_data"
	errorExecution errorType = "execution"
	errorTimeout   errorType = "timeout"
	errorCanceled  errorType = "canceled"
	errorInternal  errorType = "internal"
)

// apiError is an error that knows its type.
type apiError struct {
	typ errorType
	err error
}

func (e *apiError) Error() string { return e.err.Error() }

func badData(format string, args ...any) error {
	return &apiError{errorBadData, fmt.Errorf(format, args...)}
}

func internal(format string, args ...any) error {
	return &apiError{errorInternal, fmt.Errorf(format, args...)}
}

// typeOf returns what an error is called.
func typeOf(err error) errorType {
	var (
		own     *apiError
		storage promql.ErrStorage
		crash   *store.PanicError
	)
	switch {
	case errors.As(err, &own):
		return own.typ
	case errors.Is(err, query.ErrInvalid), errors.Is(err, store.ErrInvalidRequest):
		return errorBadData
	case errors.Is(err, query.ErrTimeout):
		return errorTimeout
	case errors.Is(err, query.ErrCanceled):
		return errorCanceled
	case errors.As(err, &storage), errors.As(err, &crash):
		return errorInternal
	}
	return errorExecution
}

// code returns the status code that Thanos sends with an error.
func (t errorType) code() int {
	switch t {
	case errorBadData:
		return http.StatusBadRequest
	case errorExecution:
		return http.StatusUnprocessableEntity
	case errorTimeout, errorCanceled:
		return http.StatusServiceUnavailable
	case errorInternal:
	}
	return http.StatusInternalServerError
}

func (h *Handler) respondError(w http.ResponseWriter, err error) {
	typ := typeOf(err)
	hd := w.Header()
	hd.Set("Content-Type", "application/json")
	hd.Set("Cache-Control", "no-store")
	w.WriteHeader(typ.code())
	e := newEncoder(w)
	e.raw(`{"status":"error","errorType":"`).raw(string(typ)).raw(`","error":`)
	e.string(err.Error())
	e.raw(`}`)
	if err := e.close(); err != nil {
		h.opts.Logger.Debug("write response", "err", err)
	}
}
