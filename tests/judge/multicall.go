// Many plugins in one binary, as k3s has them: the name that it is called by says which one it is.
//
//	cni   called as none of them it says so on stderr and ends well, with nothing on stdout
//
// Built against libcni, whose own words the answer to VERSION is; it knows no other command.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/version"
)

var plugins = map[string]version.PluginInfo{
	"bridge":   version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"),
	"ptp":      version.PluginSupports("0.3.0", "0.3.1", "0.4.0"),
	"loopback": version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0"),
}

func main() {
	plugin, known := plugins[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintln(os.Stderr, "called as none of its plugins")
		return
	}
	if os.Getenv("CNI_COMMAND") != "VERSION" {
		os.Exit(1)
	}
	if err := plugin.Encode(os.Stdout); err != nil {
		os.Exit(1)
	}
}
