module cniupgrade.test/judge-1.1.2

go 1.25.0

require (
	github.com/containerd/go-cni v1.1.9
	github.com/containernetworking/cni v1.1.2
)
