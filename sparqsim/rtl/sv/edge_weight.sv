// The same for weights, one per column (os, ws) or row (is) of the array. Weights are signed.
`include "parameters.svh"
module edge_weight #(`PE_PARAMETERS) (
    input [RW-1:0] stored,
    output [WW-1:0] used
);
    generate
        if (KIND == `OLIVE) begin : olive
            pair_decoders #(LANES / 2, 1) unit(stored, used);
        end else begin : stored_as_used
            assign used = stored;
        end
    endgenerate
endmodule
