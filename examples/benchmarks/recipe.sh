# What the recipes beside this file share. They set `name`, the benchmark's prefix, and source it with their arguments.
#
# CHECKPOINT  which networks preview and recognise (a light one, and ResNet-50 from the Hub)
# EPOCHS      most epochs; training stops earlier if nothing improves. It has no option for the learning rate.
# KS          numbers of recognised frames to compare
# shellcheck shell=bash
data=${1:?usage: $name.sh DATA OUT [OPTIONS OF nsnet train]}
out=${2:?usage: $name.sh DATA OUT [OPTIONS OF nsnet train]}
shift 2
mkdir -p "$out"

# train OPTIONS OF nsnet train
train() {
    nsnet train "$name:$data" --checkpoint "${CHECKPOINT:-imagenet-paper}" --epochs "${EPOCHS:-40}" "$@"
}

# measure OPTIONS OF nsnet evaluate: writes $name.json, $name.png and $name.txt
measure() {
    local measured=(nsnet evaluate "$name:$data" --frames "${KS:-1,2,5,10}" "$@")
    "${measured[@]}" --json --plot "$out/$name.png" >"$out/$name.json"
    "${measured[@]}" 2>&1 | tee "$out/$name.txt"   # once more for people, with the notes: features are there
}
