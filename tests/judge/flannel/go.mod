module cniupgrade.test/flannel

go 1.25.0

require (
	github.com/containernetworking/cni v1.1.2
	github.com/containernetworking/plugins v0.9.1
)

tool github.com/containernetworking/plugins/plugins/meta/flannel
