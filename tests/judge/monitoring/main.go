// Reads one object from standard input with the types that its own project publishes, strictly, and
// prints what is wrong with it: nothing where it is well.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	kjson "sigs.k8s.io/json"
)

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = judged(os.Args[1], raw)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func judged(kind string, raw []byte) error {
	switch kind {
	case "PodMonitor":
		return strictly(raw, &monitoring.PodMonitor{})
	case "PrometheusRule":
		return strictly(raw, &monitoring.PrometheusRule{})
	case "Dashboard":
		// Without these the members of panels and queries are taken unread.
		plugins.RegisterDefaultPlugins()
		var made dashboard.Dashboard
		if err := told(made.UnmarshalJSONStrict(raw)); err != nil {
			return err
		}
		return told(made.Validate())
	}
	return fmt.Errorf("nobody judges %s", kind)
}

// told is nil for a list of errors without one, which the SDK returns as an error too.
func told(err error) error {
	var all cog.BuildErrors
	if errors.As(err, &all) && len(all) == 0 {
		return nil
	}
	return err
}

func strictly(raw []byte, into any) error {
	wrong, err := kjson.UnmarshalStrict(raw, into)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%v", wrong)
	}
	return nil
}
